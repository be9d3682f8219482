"""Learning curves against wall-clock seconds, on one grid for all agents of a section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.reports.statistics import Estimate, Row, estimate
from benchmarks.studies.records import Record

POINTS = 120


@dataclass(frozen=True)
class TimedCurve:
    """Best reward so far of one agent against time.

    Attributes:
        seconds: since learning began, ascending, (points,), from the first time at which every seed
            has finished a plan.
        reward: IQM over seeds and its interval, at each of these times.
        ended: when the slowest seed had spent its evaluations; the curve is constant afterwards.
    """

    seconds: np.ndarray
    reward: Estimate
    ended: float


def timed_curves(rows: Sequence[Row]) -> list[TimedCurve]:
    """Return one curve per row, from its first plan to the end of the longest run of all rows.

    The grid is geometric, because rules end in a fraction of a second and learners take minutes.
    """
    records = [record for row in rows for record in row.records]
    # Seconds are rounded to 0.1 ms: a remembered plan may take less.
    first = max(1e-4, min(record.history.seconds[0] for record in records))
    last = max(first, *(record.history.seconds[-1] for record in records))
    grid = np.geomspace(first, last, POINTS)
    grid[-1] = last  # exactly, without a rounding error
    return [_curve(row, grid) for row in rows]


def _curve(row: Row, grid: np.ndarray) -> TimedCurve:
    begins = max(record.history.seconds[0] for record in row.records)
    seconds = np.concatenate([[begins], grid[grid > begins]])
    samples = np.stack([_best_at(record, seconds) for record in row.records])
    ended = max(record.history.seconds[-1] for record in row.records)
    return TimedCurve(seconds, estimate(samples), ended)


def _best_at(record: Record, seconds: np.ndarray) -> np.ndarray:
    """Return the best reward of the plans finished by each of ``seconds``, (points,)."""
    best = np.maximum.accumulate(np.asarray(record.history.reward, dtype=np.float64))
    return best[np.searchsorted(record.history.seconds, seconds, side="right") - 1]
