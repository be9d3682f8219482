"""Comparison of fronts: accuracy at equal MACs, and at equal latency.

Budgets are in one resource, and two searches hardly ever end at the same size in the other.  So
each network is compared with the other front at its own size.  Between two of its networks a front
is the straight line, which is the accuracy of drawing one of the two at random for each image.  It
is linear in the correctness of each image, so that the difference is over the same images and has a
paired interval.

Every seed of a method has its own front.  Each of our seeds is compared with each of theirs, and
the bootstrap resamples images and the seeds of both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.finetuning.paired import Difference, pairwise
from benchmarks.pareto.points import Point, by_budget, by_method
from benchmarks.reports import tables

HUMAN = "width-multiplier, macs"
"""The human expert's front."""

SIZES: dict[str, Callable[[Point], float]] = {
    "MACs": lambda point: point.macs,
    "ms": lambda point: point.latency.ms,
}
STAGES: dict[str, Callable[[Point], NDArray[np.float64] | None]] = {
    "before": lambda point: point.right_before,
    "after": lambda point: point.right_after,
}


@dataclass(frozen=True)
class Comparison:
    """Comparison of a front's points with another front.

    Attributes:
        method: method of the points.
        other: method of the other front.
        size: what is equal, a name in ``SIZES``.
        stage: before or after fine-tuning, a name in ``STAGES``.
        differences: budget -> difference, mean over seeds; networks beyond the other front's ends
            are left out.
    """

    method: str
    other: str
    size: str
    stage: str
    differences: dict[float, Difference]


def compare(points: Sequence[Point]) -> list[Comparison]:
    """Compare every method with the human expert's, and latency searches with those in MACs.

    Args:
        points: all points, that of the full network first, where all fronts end.
    """
    full, fronts = points[0], by_method(points)
    pairs = [(m, HUMAN, size) for size in SIZES for m in fronts if m != HUMAN and HUMAN in fronts]
    for method, (one, *_) in fronts.items():
        if one.resource == "latency" and f"{one.agent}, macs" in fronts:
            pairs.append((method, f"{one.agent}, macs", "ms"))
    found = []
    for stage, right_of in STAGES.items():
        for method, other, size in pairs:
            rivals = [[full, *front] for front in _by_seed(fronts[other])]
            differences = {
                budget: pairwise(gaps)
                for (_, budget), ours in by_budget(fronts[method]).items()
                for gaps in [_gaps(ours, rivals, SIZES[size], right_of)]
                if gaps is not None
            }
            if differences:
                found.append(Comparison(method, other, size, stage, differences))
    return found


def _by_seed(points: Sequence[Point]) -> list[list[Point]]:
    """Return one front for each seed of a method."""
    seeds = sorted({point.seed for point in points})
    return [[point for point in points if point.seed == seed] for seed in seeds]


def _gaps(
    ours: Sequence[Point],
    fronts: Sequence[Sequence[Point]],
    size_of: Callable[[Point], float],
    right_of: Callable[[Point], NDArray[np.float64] | None],
) -> NDArray[np.float64] | None:
    """Return ours minus theirs, (points, fronts, images), NaN beyond ends; None if all are."""
    images = next((bits.size for point in ours if (bits := right_of(point)) is not None), 0)
    gaps = np.full((len(ours), len(fronts), images), np.nan)
    for i, point in enumerate(ours):
        for j, front in enumerate(fronts):
            right, theirs = right_of(point), at(front, size_of(point), size_of, right_of)
            if right is not None and theirs is not None:
                gaps[i, j] = right - theirs
    return None if np.isnan(gaps).all() else gaps


def at(
    front: Sequence[Point],
    size: float,
    size_of: Callable[[Point], float],
    right_of: Callable[[Point], NDArray[np.float64] | None],
) -> NDArray[np.float64] | None:
    """Return how often a front has each image right at a size, (images,); None beyond its ends."""
    known = sorted((size_of(p), i) for i, p in enumerate(front) if right_of(p) is not None)
    sizes = [each for each, _ in known]
    if not sizes or not sizes[0] <= size <= sizes[-1]:
        return None
    above = max(1, int(np.searchsorted(sizes, size)))
    (low, i), (high, j) = known[above - 1], known[above]
    share = (size - low) / (high - low) if high > low else 1.0
    smaller, larger = right_of(front[i]), right_of(front[j])
    assert smaller is not None
    assert larger is not None
    return (1 - share) * smaller + share * larger


def markdown(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the table's lines, one row for each comparison."""
    budgets = sorted({b for each in comparisons for b in each.differences}, reverse=True)
    header = ["fine-tuning", "front", "against", "at equal", *(f"{100 * b:.0f} %" for b in budgets)]
    rows = [
        [each.stage, each.method, each.other, each.size]
        + [str(each.differences.get(budget, "")) for budget in budgets]
        for each in comparisons
    ]
    return tables.markdown(header, rows, words=4)
