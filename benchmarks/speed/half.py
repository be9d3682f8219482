"""Speed of a network with half of its MACs: ``python -m benchmarks.speed.half``.

It times the original network and the uniform plan at half of the MACs in ONNX Runtime, in turn, for
several numbers of threads and images; and layer by layer, how the time of each kind changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from pathlib import Path

import torchvision
import tyro
from rich.console import Console

from amc_gym import CompressionTask
from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.latency.layers import geometries
from amc_gym.compression.latency.pinning import pinned
from amc_gym.compression.latency.timing import NOISIEST, LatencyError, Timing, measure
from amc_gym.compression.latency.workload import Workload
from amc_gym.engine.analysis import Analysis
from amc_gym.engine.latency import workload_of
from amc_gym.envs.budget import Budget
from benchmarks.reports.tables import markdown
from benchmarks.speed import cases
from benchmarks.speed.report import keep

SHARE = 0.5
"""Share of the MACs that the slim networks keep."""


def _resnet50() -> CompressionTask:
    model = cases.seeded(lambda: torchvision.models.resnet50(weights=None))
    return cases.synthetic(
        model, size=224, classes=1000, reward=8, calibration=8, channel_multiple=8
    )


NETWORKS: dict[str, Callable[[], CompressionTask]] = {
    "MobileNet, 224 x 224": lambda: cases.mobilenet(reward=8),
    "ResNet-50, 224 x 224": _resnet50,
    "MobileNet, 32 x 32": lambda: cases.cifar10("MobileNet", reward=8),
    "ResNet-56, 32 x 32": lambda: cases.cifar10("ResNet56", reward=8),
}


@dataclass(frozen=True)
class Options:
    """Options of a measurement.

    Attributes:
        threads: numbers of threads of the runtime, one table row each.
        batches: batch sizes, one table row each.
        rounds: number of times each network is timed.
        noisiest: largest accepted spread, see ``amc_gym.compression.latency.timing.measure``.
        out: folder for half.md and half.json.
    """

    threads: tuple[int, ...] = (1, 2)
    batches: tuple[int, ...] = (1, 8)
    rounds: int = 25
    noisiest: float = NOISIEST
    out: Path = Path("runs/speed")


def half_of(graph: ChannelGraph, multiple: int) -> tuple[int, ...]:
    """Return channel counts of the uniform plan at half of the MACs."""
    budget = Budget(
        RESOURCES["macs"].of_channels(graph).total,
        graph.full,
        preserve_ratio=SHARE,
        max_sparsity=[0.8] * len(graph.units),
        steps=[lcm(multiple, unit.blocks) for unit in graph.units],
    )
    return budget.scaled([1.0] * len(graph.units))


def whole(analysis: Analysis, options: Options) -> tuple[list[list[str]], dict[str, object]]:
    """Return the rows of one network, original against half: threads, images, ms, speed-up."""
    rows, taken = [], {}
    counts = half_of(analysis.graph, analysis.task.channel_multiple)
    for threads in options.threads:
        for batch in options.batches:
            subject = workload_of(analysis, "onnx", threads=threads, batch=batch, device="cpu")
            with pinned(threads):
                passes = {"full": subject.whole(analysis.graph.full), "half": subject.whole(counts)}
                try:
                    timings = measure(passes, rounds=options.rounds, noisiest=options.noisiest)
                except LatencyError:  # the table says so; the other rows are still worth measuring
                    rows.append([str(threads), str(batch), "", "", "too noisy to say"])
                    continue
            ratio, low, high = timings["full"].ratio(timings["half"])
            ms = [_milliseconds(timings[name].median) for name in passes]
            rows.append([str(threads), str(batch), *ms, f"{ratio:.2f} [{low:.2f}, {high:.2f}]"])
            taken[f"{threads} threads, {batch} images"] = {
                name: timing.rounds.tolist() for name, timing in timings.items()
            }
    return rows, taken


def _milliseconds(ns: float) -> str:
    ms = ns / 1e6
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.3g}"


def by_kind(analysis: Analysis, options: Options) -> list[list[str]]:
    """Return the rows of one network: kind of layer, its share of MACs and time, and both gains."""
    graph, counts = analysis.graph, half_of(analysis.graph, analysis.task.channel_multiple)
    subject = workload_of(analysis, "onnx", threads=1, batch=1, device="cpu")
    found = geometries(subject.model, graph)
    sizes = {"full": _widths(graph, graph.full), "half": _widths(graph, counts)}
    with pinned(1):
        passes = {
            (which, name): subject.layer(geometry, *sizes[which][name])
            for which in sizes
            for name, geometry in found.items()
        }
        timings = measure(passes, rounds=options.rounds, noisiest=options.noisiest)
    macs = RESOURCES["macs"].of_channels(graph)
    costs = {
        which: dict(zip(macs.names, macs.per_layer(plan), strict=True))
        for which, plan in (("full", graph.full), ("half", counts))
    }
    return _kinds({name: _kind(graph, name) for name in found}, timings, costs)


def _kinds(
    kinds: Mapping[str, str],
    timings: Mapping[tuple[str, str], Timing],
    costs: Mapping[str, Mapping[str, int]],
) -> list[list[str]]:
    def times(which: str, names: Sequence[str]) -> float:
        return sum(timings[which, name].quiet for name in names)

    def macs(which: str, names: Sequence[str]) -> int:
        return sum(int(costs[which][name]) for name in names)

    everything = list(kinds)
    rows = []
    for kind in [*dict.fromkeys(kinds.values()), "all layers"]:
        names = [name for name in kinds if kinds[name] == kind] or everything
        rows.append(
            [
                kind,
                f"{100 * macs('full', names) / macs('full', everything):.0f}",
                f"{100 * times('full', names) / times('full', everything):.0f}",
                f"{macs('full', names) / macs('half', names):.2f}",
                f"{times('full', names) / times('half', names):.2f}",
            ]
        )
    return rows


def _kind(graph: ChannelGraph, name: str) -> str:
    layer = graph.layers[name]
    if layer.kind == "conv":
        return f"{layer.kernel} x {layer.kernel}"
    return layer.kind


def _widths(graph: ChannelGraph, counts: Sequence[int]) -> dict[str, tuple[int, int]]:
    """Return inputs and outputs of each layer with multiplications, in a plan."""
    kept = tuple(unit.first(n) for unit, n in zip(graph.units, counts, strict=True))
    return {
        name: tuple(0 if a is None else len(a.kept(kept)) for a in (layer.inputs, layer.outputs))
        for name, layer in graph.layers.items()
    }  # pyright: ignore[reportReturnType]


def main(options: Options) -> None:
    """Time networks and their halves, and write half.md and half.json."""
    console, lines, taken = Console(stderr=True), [], {}
    device = ""
    speeds: list[list[str]] = []
    kinds: list[list[str]] = []
    for title, make in NETWORKS.items():
        with console.status(title):
            analysis = Analysis(make())
            rows, taken[title] = whole(analysis, options)
            speeds += [[title, *row] for row in rows]
            kinds += [[title, *row] for row in by_kind(analysis, options)]
            subject: Workload = workload_of(analysis, "onnx", device="cpu")
            device = f"{subject.device.name}, {subject.device.runtime} {subject.device.version}"
        console.print(f"{title}: {', '.join(row[-1] for row in rows)} times as fast")
    header = ["", "threads", "images", "ms", "ms at half the MACs", "times as fast"]
    lines += [f"{device}; random weights; medians and quartiles of {options.rounds} rounds.", ""]
    lines += markdown(header, speeds)
    header = ["", "layers", "MACs %", "time %", "MACs fall by", "time falls by"]
    lines += [
        "",
        "Layers timed alone, one thread, one image:",
        "",
        *markdown(header, kinds, words=2),
    ]
    keep(options.out / "half", "Half of the MACs", lines, {"rounds": taken})
    console.print(f"written: {options.out}/half.md, half.json")


if __name__ == "__main__":
    main(tyro.cli(Options))
