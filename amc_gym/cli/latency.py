"""``latency-table`` and ``bench-latency``: milliseconds on the machine at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from rich.table import Table
from tyro.conf import Positional

from amc_gym._utils.own_code import is_code
from amc_gym.cli.console import CommandError, own_code, refuse_to_overwrite, say, watched
from amc_gym.cli.plans import SavedPlan
from amc_gym.compression.cost import counted_macs, counted_params
from amc_gym.compression.latency.checking import check
from amc_gym.compression.latency.load import BUSIEST, OtherLoad
from amc_gym.compression.latency.measurement import build
from amc_gym.compression.latency.table import LatencyTable
from amc_gym.compression.latency.timing import NOISIEST, ROUNDS, measure, pinned
from amc_gym.compression.pruning import PRUNINGS
from amc_gym.engine.cache import engines
from amc_gym.engine.latency import workload_of
from amc_gym.workflows import compression as api
from amc_gym.zoo.resolving import resolve

RuntimeName = Literal["onnx", "torch", "compile"]


def latency_table(
    network: Positional[str],
    out: Path,
    dataset: str = "digits",
    weights: str = "bundled",
    data_root: Path | None = None,
    runtime: RuntimeName = "onnx",
    threads: int = 1,
    batch: int = 1,
    rounds: int = ROUNDS,
    noisiest: float = NOISIEST,
    check_on: int = 0,
    device: str = "auto",
    force: bool = False,
) -> None:
    """Measure a network's layers on this machine, for `latency_table=` of an environment.

    The file may be used on other machines: times of a phone, say, for a search on a server. If it
    exists, and there are networks to check it on, it is checked instead of measured again.

    Args:
        network: a registered network, such as MobileNet, or package.module:function.
        out: the file (.json).
        dataset: digits, cifar10, imagenet or folder.
        weights: bundled, torchvision, random or a file; times do not depend on them.
        data_root: folder of the data sets that are read from disk; without it, $AMC_DATA_ROOT.
        runtime: what runs the network; onnx (needs amc-gym[onnx]) is what it is handed over for.
        threads: that the runtime may use.
        batch: images at a time.
        rounds: how often each layer is timed.
        noisiest: spread between a pass's quartiles, as a share of its median, that is accepted.
        check_on: so many random plans are then timed end to end and compared with the table.
        device: auto, cpu, cuda, ... of the torch runtimes.
        force: replace the file if it exists.
    """
    if is_code(network):
        own_code(network)
    task = resolve(network, dataset=dataset, weights=weights, data_root=data_root)
    subject = workload_of(
        engines.analysis(task), runtime, threads=threads, batch=batch, device=device
    )
    if out.exists() and check_on and not force:
        table = LatencyTable.load(out, subject.device.name)
        if table.device != subject.device:
            raise CommandError(f"{out} was measured on {table.device}; this is {subject.device}")
    else:
        refuse_to_overwrite(out, force=force, suffixes=(".json",))
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
            f"median, quartiles {low:.1f} and {high:.1f} %; by {besides:.1f} % besides the "
            f"{found.pace:.2f} times that everything takes as long as when the table was measured; "
            f"the measurements themselves spread over {found.spread:.1%}"
        )


def bench_latency(
    saved: SavedPlan,
    network: Path | None = None,
    runtime: RuntimeName = "onnx",
    threads: int = 1,
    batch: int = 1,
    rounds: int = 50,
    noisiest: float = NOISIEST,
    busiest: float = BUSIEST,
    device: str = "auto",
) -> None:
    """Time the original and the compressed network side by side on this machine.

    Args:
        saved: the plan and its task.
        network: the .safetensors file of the fine-tuned network; without it, the plan's own.
        runtime: what runs them; onnx needs amc-gym[onnx].
        threads: that the runtime may use.
        batch: images at a time.
        rounds: how often each is timed, by turns.
        noisiest: spread between a pass's quartiles, as a share of its median, that is accepted.
        busiest: share of the cores that other programs may take meanwhile, up to 1.
        device: auto, cpu, cuda, ... of the torch runtimes.
    """
    loaded, original = saved.open()
    if not PRUNINGS[loaded.options["granularity"]].runs_faster:
        raise CommandError("single weights that are zero make no runtime faster: nothing to time")
    small = api.compress(original, loaded) if network is None else api.load(network, original.model)
    subject = workload_of(
        engines.analysis(original), runtime, threads=threads, batch=batch, device=device
    )
    networks = {"original": original.model, "compressed": small}
    others = OtherLoad()
    with pinned(threads):
        passes = {name: subject.prepare(net, subject.images) for name, net in networks.items()}
        timings = measure(passes, rounds=rounds, noisiest=noisiest)
    others.refuse(busiest)
    example = original.example[:1]
    shown = Table(title=f"{subject.device}, {rounds} rounds by turns", title_justify="left")
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
    if device == "auto" and runtime == "onnx" and torch.cuda.is_available():
        say("ONNX Runtime ran on the processor; --runtime torch uses the GPU")
