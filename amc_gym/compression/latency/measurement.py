"""Makes a latency table on this machine, and checks one against whole networks.

Layers are timed one by one, and a few whole networks beside them, all by turns; the table is fitted
to the networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import lcm, prod
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.latency.blocks import PROBES, block_of
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.latency.fitting import fitted
from amc_gym.compression.latency.layers import Geometry, geometries, widths
from amc_gym.compression.latency.runtimes import RUNTIMES, Pass
from amc_gym.compression.latency.table import Device, Grid, LatencyTable
from amc_gym.compression.latency.timing import ROUNDS, measure, pinned
from amc_gym.compression.slim import slim
from amc_gym.machine import processor

SHARES = (0.15, 0.3, 0.45, 0.6, 0.8, 1.0)
"""Of a layer's channels: the points of its grid."""

ROUND_FROM = 40
"""Points of axes with so many channels or more are multiples of 8, as people choose widths."""

EMPTY = "empty call"

NETWORKS = 16
"""Whole networks that scale and overhead are fitted to."""

LEAST_SHARE = 0.2
"""Of a unit's channels in a random plan: the paper's a_max."""


@dataclass(frozen=True)
class Subject:
    """What is measured, and how.

    Attributes:
        model: the network, in eval mode.
        graph: its channel graph.
        image: (1, C, H, W), on the device.
        device: what its times belong to.
        multiple: of channels in random plans.
    """

    model: nn.Module
    graph: ChannelGraph
    image: Tensor
    device: Device
    multiple: int = 1

    @property
    def images(self) -> Tensor:
        """A batch."""
        return self.image.repeat(self.device.batch, 1, 1, 1)

    def network(self, counts: Sequence[int]) -> nn.Module:
        """One that keeps so many channels of each unit; which ones changes no time."""
        kept = tuple(np.arange(count) for count in counts)
        return slim(self.model, self.graph, kept)

    def layer(self, geometry: Geometry, inputs: int, outputs: int) -> Pass:
        """A pass of one layer alone, with so many channels."""
        images = geometry.input(self.device.batch, inputs, outputs)
        return self.prepare(geometry.module(inputs, outputs), images)

    def prepare(self, network: nn.Module, images: Tensor) -> Pass:
        """A pass in the runtime."""
        images = images.to(self.image.device)
        return RUNTIMES[self.device.runtime].prepare(network, images, self.device.threads)


def this_device(device: torch.device, runtime: str, threads: int, batch: int) -> Device:
    """What times that are measured here belong to.

    Raises:
        ImportError: the runtime is not installed.
    """
    return Device(device_name(device), runtime, RUNTIMES[runtime].version, threads, batch)


def device_name(device: torch.device) -> str:
    """Of the GPU or the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def build(
    subject: Subject,
    *,
    rounds: int = ROUNDS,
    portable: bool = False,
    progress: bool = True,
    **options: Any,
) -> LatencyTable:
    """Measure a table for a network.

    Args:
        subject: what to measure.
        rounds: how often each layer and network is timed.
        portable: whether the table may be used on other machines.
        progress: whether there is a progress bar, on stderr.
        options: of ``timing.measure``.

    Raises:
        LatencyError: the machine is too noisy, or its clock is broken.
        ValueError: more threads than cores.
    """
    layers = geometries(subject.model, subject.graph)
    with _Bar(rounds, progress) as bar, pinned(subject.device.threads):
        block = _block(subject, layers, rounds, options)
        wanted = _points(subject.graph, layers, block)
        plans = random_plans(subject.graph, NETWORKS, lcm(subject.multiple, block), seed=1)
        passes: dict[Any, Pass] = {}
        for geometry, (inputs, outputs) in wanted.items():
            for i in inputs:
                for o in outputs:
                    passes[geometry.key, i, o] = subject.layer(geometry, i, o)
                    bar.prepared(len(passes))
        for number, counts in enumerate(plans):
            passes[number] = subject.prepare(subject.network(counts), subject.images)
            bar.prepared(len(passes))
        passes[EMPTY] = subject.prepare(nn.Sequential(nn.ReLU()).eval(), torch.zeros(1, 1, 1, 1))
        timings = measure(passes, rounds=rounds, told=bar.timed, **options)
    empty = timings[EMPTY].quiet
    grids = {
        geometry.key: Grid.of(
            inputs,
            outputs,
            np.array(
                [[timings[geometry.key, i, o].quiet - empty for o in outputs] for i in inputs]
            ),
        )
        for geometry, (inputs, outputs) in wanted.items()
    }
    networks = np.array([timings[number].quiet for number in range(len(plans))])
    table = fitted(subject.device, subject.graph, layers, grids, plans, networks, block)
    return replace(table, portable=portable)


def _block(
    subject: Subject, layers: Mapping[str, Geometry], rounds: int, options: Mapping[str, Any]
) -> int:
    """Channels that the runtime computes at once, by the network's heaviest convolution."""

    def weight(name: str) -> int:
        geometry, (inputs, outputs) = found[name], widths(subject.graph.layers[name])
        return inputs * outputs * prod(geometry.kernel) * geometry.height * geometry.width

    found = {
        name: geometry
        for name, geometry in layers.items()
        if geometry.kind == "conv" and geometry.groups == 1
    }
    if not found:
        return 1
    heaviest = max(found, key=weight)
    geometry, (inputs, _) = found[heaviest], widths(subject.graph.layers[heaviest])
    passes = {count: subject.layer(geometry, inputs, count) for count in PROBES}
    timings = measure(passes, rounds=rounds, **options)
    return block_of(PROBES, [timings[count].quiet for count in PROBES])


def _points(
    graph: ChannelGraph, layers: Mapping[str, Geometry], block: int
) -> dict[Geometry, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Channels in and out at which each geometry is timed."""
    found: dict[Geometry, tuple[set[int], set[int]]] = {}
    for name, geometry in layers.items():
        layer = graph.layers[name]
        inputs, outputs = found.setdefault(geometry, (set(), set()))
        outputs |= _spread(len(layer.outputs), bool(layer.outputs.units), geometry.groups, block)
        if layer.inputs is None:
            inputs.add(1)
        else:
            inputs |= _spread(len(layer.inputs), bool(layer.inputs.units), geometry.groups, block)
    return {
        geometry: (tuple(sorted(inputs)), tuple(sorted(outputs)))
        for geometry, (inputs, outputs) in found.items()
    }


def _spread(channels: int, pruned: bool, groups: int, block: int) -> set[int]:
    if not pruned:
        return {channels}
    # Between multiples of a block there is nothing to measure.
    step = lcm(groups, block) if block > 1 else max(groups, 8 if channels >= ROUND_FROM else 1)
    return {min(channels, max(step, round(s * channels / step) * step)) for s in SHARES} | {
        channels
    }


def random_plans(graph: ChannelGraph, n: int, multiple: int, seed: int) -> list[tuple[int, ...]]:
    """Counts between a fifth and all of each unit's channels: small, large and mixed networks."""
    rng = np.random.default_rng(seed)
    plans = []
    for _ in range(n):
        # A plan's own range first: independent units alone would all be of average size.
        low, high = np.sort(rng.uniform(LEAST_SHARE, 1, 2))
        counts = []
        for unit in graph.units:
            step = np.lcm(multiple, unit.blocks)
            count = round(rng.uniform(low, high) * unit.channels / step) * step
            counts.append(int(min(unit.channels, max(step, count))))
        plans.append(tuple(counts))
    return plans


@dataclass(frozen=True)
class Check:
    """Predicted and measured nanoseconds of whole networks, (n,) each, and the measured spread."""

    predicted: np.ndarray
    measured: np.ndarray
    spread: float

    @property
    def errors(self) -> np.ndarray:
        """Relative, (n,)."""
        return np.abs(self.predicted - self.measured) / self.measured

    @property
    def pace(self) -> float:
        """How many times as long as the table says everything takes at the moment.

        Shared machines change their speed within minutes; budgets are ratios, which that leaves be.
        """
        return float(np.median(self.measured / self.predicted))

    @property
    def errors_at_pace(self) -> np.ndarray:
        """Relative, besides the pace, (n,)."""
        return np.abs(self.pace * self.predicted - self.measured) / self.measured


def check(
    subject: Subject,
    table: LatencyTable,
    n: int = 50,
    *,
    rounds: int = ROUNDS,
    seed: int = 2,
    progress: bool = True,
    **options: Any,
) -> Check:
    """Compare a table's predictions with networks that it was not fitted to, end to end.

    Args:
        subject: what to measure.
        table: of this device.
        n: how many random plans.
        rounds: how often each is timed.
        seed: of the plans.
        progress: whether there is a progress bar, on stderr.
        options: of ``timing.measure``.

    Raises:
        LatencyError: the table is of another network, or nothing can be measured.
    """
    cost = LatencyCost(subject.graph, geometries(subject.model, subject.graph), table)
    plans = random_plans(subject.graph, n, lcm(subject.multiple, table.block), seed)
    with _Bar(rounds, progress) as bar, pinned(subject.device.threads):
        passes = {}
        for number, counts in enumerate(plans):
            passes[number] = subject.prepare(subject.network(counts), subject.images)
            bar.prepared(number + 1)
        timings = measure(passes, rounds=rounds, told=bar.timed, **options)
    measured = np.array([timings[number].quiet for number in range(n)])
    spread = float(np.median([timing.spread for timing in timings.values()]))
    return Check(cost.totals(np.array(plans)), measured, spread)


class _Bar:
    """What is prepared, and the rounds that are done."""

    def __init__(self, rounds: int, shown: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not shown
        )
        self._task = self._progress.add_task("preparing to measure latency", total=rounds)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def prepared(self, n: int) -> None:
        self._progress.update(self._task, description=f"preparing to measure latency: {n}")

    def timed(self, rounds: int) -> None:
        self._progress.update(self._task, completed=rounds, description="measuring latency, rounds")
