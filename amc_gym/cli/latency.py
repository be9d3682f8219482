"""``latency-table`` and ``bench-latency``: latency on this machine."""

from __future__ import annotations

import numpy as np
import torch
from rich.table import Table

from amc_gym._utils.own_code import is_code
from amc_gym.cli.commands import BenchLatency, MakeTable
from amc_gym.cli.console import CommandError, own_code, refuse_to_overwrite, say, watched
from amc_gym.cli.opening import opened
from amc_gym.compression.cost import counted_macs, counted_params
from amc_gym.compression.latency.checking import check
from amc_gym.compression.latency.load import OtherLoad
from amc_gym.compression.latency.measurement import build
from amc_gym.compression.latency.pinning import pinned
from amc_gym.compression.latency.table import LatencyTable
from amc_gym.compression.latency.timing import measure
from amc_gym.compression.latency.workload import Workload
from amc_gym.compression.pruning import PRUNINGS
from amc_gym.engine.cache import engines
from amc_gym.engine.latency import workload_of
from amc_gym.tasks.task import CompressionTask
from amc_gym.workflows import compression as api
from amc_gym.zoo.resolving import resolve


def latency_table(command: MakeTable) -> None:
    """Measure and save a table, or check an existing one, and print its error."""
    out, check_on = command.out, command.check_on
    rounds, noisiest = command.rounds, command.noisiest
    if is_code(command.network):
        own_code(command.network)
    task = resolve(
        command.network,
        dataset=command.dataset,
        weights=command.weights,
        data_root=command.data_root,
    )
    subject = _workload(command, task)
    if out.exists() and check_on and not command.force:
        table = LatencyTable.load(out, subject.device.name)
        if table.device != subject.device:
            raise CommandError(f"{out} was measured on {table.device}; this is {subject.device}")
    else:
        refuse_to_overwrite(out, force=command.force, suffixes=(".json",))
        table = build(subject, rounds=rounds, noisiest=noisiest, portable=True, progress=watched())
        table.save(out)
        say(f"{out}: {len(table.grids)} kinds of layers on {table.device}")
    if check_on:
        found = check(
            subject, table, check_on, rounds=rounds, noisiest=noisiest, progress=watched()
        )
        low, middle, high = 100 * np.quantile(found.errors, (0.25, 0.5, 0.75))
        besides = 100 * np.median(found.errors_at_pace)
        say(
            f"{check_on} random plans end to end, {found.measured.min() / 1e6:.2f} to "
            f"{found.measured.max() / 1e6:.2f} ms: the table is off by {middle:.1f} % in the "
            f"median, quartiles {low:.1f} and {high:.1f} %; by {besides:.1f} % after dividing by "
            f"{found.pace:.2f}, the present slowdown of the machine since the table was measured; "
            f"the measurements themselves spread over {found.spread:.1%}"
        )


def bench_latency(command: BenchLatency) -> None:
    """Show both networks' times, and the speed-up of the compressed one."""
    loaded, original = opened(command.saved)
    if not PRUNINGS[loaded.options["granularity"]].runs_faster:
        raise CommandError("zero weights make no runtime faster: time a plan of channels")
    small = (
        api.compress(original, loaded)
        if command.network is None
        else api.load(command.network, original.model)
    )
    subject = _workload(command, original)
    networks = {"original": original.model, "compressed": small}
    others = OtherLoad()
    with pinned(command.threads):
        passes = {name: subject.prepare(net, subject.images) for name, net in networks.items()}
        timings = measure(passes, rounds=command.rounds, noisiest=command.noisiest)
    others.refuse(command.busiest)
    example = original.example[:1]
    shown = Table(title=f"{subject.device}, {command.rounds} rounds by turns", title_justify="left")
    for i, name in enumerate(("network", "MACs", "parameters", "ms [quartiles]", "faster")):
        shown.add_column(name, justify="left" if i == 0 else "right")
    for name, net in networks.items():
        ratio, low, high = timings["original"].ratio(timings[name])
        first, third = (x / 1e6 for x in timings[name].quartiles)
        shown.add_row(
            name,
            f"{counted_macs(net, example):,}",
            f"{counted_params(net):,}",
            f"{timings[name].median / 1e6:.3f} [{first:.3f}, {third:.3f}]",
            "" if name == "original" else f"{ratio:.2f} x [{low:.2f}, {high:.2f}]",
        )
    say(shown)
    if command.device == "auto" and command.runtime == "onnx" and torch.cuda.is_available():
        say("ONNX Runtime ran on the CPU; --runtime torch uses the GPU")


def _workload(command: MakeTable | BenchLatency, task: CompressionTask) -> Workload:
    """Return the workload of a task's network."""
    return workload_of(
        engines.analysis(task),
        command.runtime,
        threads=command.threads,
        batch=command.batch,
        device=command.device,
    )
