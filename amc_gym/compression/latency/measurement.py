"""Measurement of a latency table on this machine.

Single layers and a few whole networks are timed in turns, and the table is fitted to the networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import lcm, prod
from typing import Any

import numpy as np
import torch
from torch import nn

from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.latency.bar import Bar
from amc_gym.compression.latency.blocks import PROBES, block_of
from amc_gym.compression.latency.fitting import fitted
from amc_gym.compression.latency.layers import Geometry, geometries, widths
from amc_gym.compression.latency.pinning import pinned
from amc_gym.compression.latency.runtimes import Pass
from amc_gym.compression.latency.table import Grid, LatencyTable
from amc_gym.compression.latency.timing import ROUNDS, measure
from amc_gym.compression.latency.workload import Workload, random_plans

SHARES = (0.15, 0.3, 0.45, 0.6, 0.8, 1.0)
"""Shares of a layer's channels: the points of its grid."""

ROUND_FROM = 40
"""Axes with at least this many channels have points at multiples of 8, like common widths."""

EMPTY = "empty call"

FITTED_TO = 16
"""Number of whole networks that scale and overhead are fitted to."""


def build(
    workload: Workload,
    *,
    rounds: int = ROUNDS,
    portable: bool = False,
    progress: bool = True,
    **options: Any,
) -> LatencyTable:
    """Measure a table for a network.

    Args:
        workload: what to measure.
        rounds: number of timings of each layer and network.
        portable: whether the table may be used on other machines.
        progress: whether to show a progress bar, on stderr.
        options: of ``timing.measure``.

    Raises:
        LatencyError: the machine is too noisy, or its clock is broken.
        ValueError: there are more threads than cores.
    """
    layers = geometries(workload.model, workload.graph)
    with Bar(rounds, progress) as bar, pinned(workload.device.threads):
        block = _block(workload, layers, rounds, options)
        wanted = _points(workload.graph, layers, block)
        plans = random_plans(workload.graph, FITTED_TO, lcm(workload.multiple, block), seed=1)
        passes: dict[Any, Pass] = {}
        for geometry, (inputs, outputs) in wanted.items():
            for i in inputs:
                for o in outputs:
                    passes[geometry.key, i, o] = workload.layer(geometry, i, o)
                    bar.prepared(len(passes))
        for number, counts in enumerate(plans):
            passes[number] = workload.whole(counts)
            bar.prepared(len(passes))
        passes[EMPTY] = workload.prepare(nn.Sequential(nn.ReLU()).eval(), torch.zeros(1, 1, 1, 1))
        timings = measure(passes, rounds=rounds, on_round=bar.timed, **options)
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
    table = fitted(workload.device, workload.graph, layers, grids, plans, networks, block)
    return replace(table, portable=portable)


def _block(
    workload: Workload, layers: Mapping[str, Geometry], rounds: int, options: Mapping[str, Any]
) -> int:
    """Return how many channels the runtime computes at once.

    Ordinary and depthwise convolutions have kernels of their own, so the heaviest of each that a
    plan can narrow is timed; an ordinary one over its channels in and out.
    """
    passes: dict[Any, Pass] = {}
    for kind, side in (("conv", "outputs"), ("conv", "inputs"), ("depthwise", "outputs")):
        narrowed = [
            name
            for name, geometry in layers.items()
            if (geometry.kind, geometry.groups) == (kind, 1)
            and getattr(workload.graph.layers[name], side).units
        ]
        if not narrowed:
            continue
        heaviest = max(narrowed, key=lambda name: _macs(workload.graph, name, layers[name]))
        inputs, outputs = widths(workload.graph.layers[heaviest])
        for count in PROBES:
            channels = (count, outputs) if side == "inputs" else (inputs, count)
            passes[kind, side, count] = workload.layer(layers[heaviest], *channels)
    if not passes:
        return 1
    timings = measure(passes, rounds=rounds, **options)
    sides = {(kind, side) for kind, side, _ in passes}
    return lcm(
        *(block_of(PROBES, [timings[*side, count].quiet for count in PROBES]) for side in sides)
    )


def _macs(graph: ChannelGraph, name: str, geometry: Geometry) -> int:
    """Return a layer's multiply-accumulate operations in the full network, but for its stride."""
    inputs, outputs = widths(graph.layers[name])
    each = outputs if geometry.kind == "depthwise" else inputs * outputs
    return each * prod(geometry.kernel) * geometry.height * geometry.width


def _points(
    graph: ChannelGraph, layers: Mapping[str, Geometry], block: int
) -> dict[Geometry, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the channels in and out at which each geometry is timed."""
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
    # Times do not change between multiples of a block.
    step = lcm(groups, block) if block > 1 else max(groups, 8 if channels >= ROUND_FROM else 1)
    return {min(channels, max(step, round(s * channels / step) * step)) for s in SHARES} | {
        channels
    }
