"""Effect of a few channels on a network's latency: ``python -m benchmarks.speed.steps``.

Every unit keeps a share of its channels, rounded down to a multiple of the block that runtimes
compute at once, and also half a block fewer or more; all networks are timed in turn.  Where the
first two columns are equal, the half block removed from every unit saved no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from amc_gym.compression.latency.pinning import pinned
from amc_gym.compression.latency.timing import NOISIEST, measure
from amc_gym.engine.cache import engines
from amc_gym.engine.latency import workload_of
from amc_gym.zoo.resolving import resolve
from benchmarks.reports.tables import markdown
from benchmarks.speed.report import report_table


@dataclass(frozen=True)
class Options:
    """Options of a measurement.

    Attributes:
        network: a registered network.
        dataset: data set whose setting it has; its weights are random, which changes no time.
        runtime: torch, compile or onnx.
        threads: number of threads that it may use.
        block: channels of a block; the network's units should have several blocks.
        shares: shares of every unit's channels to keep.
        rounds: number of times each network is timed.
        noisiest: largest accepted spread, see ``amc_gym.compression.latency.timing.measure``.
        out: folder for steps.md and steps.json, if they are to be written.
    """

    network: str = "MobileNet"
    dataset: str = "cifar10"
    runtime: str = "onnx"
    threads: int = 1
    block: int = 16
    shares: tuple[float, ...] = (0.4, 0.6, 0.8)
    rounds: int = 25
    noisiest: float = NOISIEST
    out: Path | None = None


def main(options: Options) -> None:
    """Time networks at and between the steps of a runtime; ``--out`` writes the table."""
    task = resolve(options.network, dataset=options.dataset, weights="random")
    subject = workload_of(engines.analysis(task), options.runtime, threads=options.threads)
    block, half = options.block, options.block // 2
    passes = {}
    with pinned(options.threads):
        for share in options.shares:
            for offset in (-half, 0, half):
                counts = [
                    min(full, max(block, int(share * full) // block * block) + offset)
                    for full in subject.graph.full
                ]
                passes[share, offset] = subject.whole(counts)
        timings = measure(passes, rounds=options.rounds, noisiest=options.noisiest)
    columns = (
        "share",
        f"{half} fewer in every unit, us",
        f"multiples of {block}, us",
        f"{half} more, us",
    )
    us = {key: timing.quiet / 1000 for key, timing in timings.items()}
    rows = [
        [f"{share:.0%}", *(f"{us[share, offset]:.0f}" for offset in (-half, 0, half))]
        for share in options.shares
    ]
    lines = markdown(columns, rows)
    where = (
        f"{options.network} for {options.dataset}, {subject.device}; lower quartiles of "
        f"{options.rounds} rounds by turns."
    )
    out = options.out and options.out / "steps"
    taken = {f"{share} {offset:+d}": t.rounds.tolist() for (share, offset), t in timings.items()}
    figures = {"device": str(subject.device), "rounds": taken}
    report_table("Steps of a runtime", lines, where, out, figures)


if __name__ == "__main__":
    main(tyro.cli(Options))
