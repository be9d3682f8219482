"""The table of searches' progress: best accuracy by number of evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.filling.cells import RESULTS
from benchmarks.reports import tables
from benchmarks.studies import archive
from benchmarks.studies.runs import BenchmarkError


def progress(folder: str, agents: str, evaluations: str) -> list[str]:
    """Return the best accuracy so far on the reward images: median and range over seeds."""
    after = [int(n) for n in evaluations.split(",")]
    known = archive.read(RESULTS / folder)
    lines = []
    for agent in agents.split(","):
        runs = [run["history"] for run in known if run["agent"] == agent]
        if not runs:
            raise BenchmarkError(f"{folder} has no runs of {agent}")
        best = [[_best(run, n) for run in runs if run["evaluation"][-1] >= n] for n in after]
        lines.append([f"{agent}, {_seeds(len(runs))}", *map(_spread, best)])
    return tables.markdown(["best accuracy % after evaluations", *map(str, after)], lines)


def _best(history: Mapping[str, Sequence[float]], n: int) -> float:
    """Return the best accuracy of a run's first n evaluations, in percent."""
    numbered = zip(history["evaluation"], history["accuracy"], strict=True)
    return 100 * max(accuracy for evaluation, accuracy in numbered if evaluation <= n)


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    return f"{median(values):.1f}" + (f", {low:.1f} to {high:.1f}" if low < high else "")
