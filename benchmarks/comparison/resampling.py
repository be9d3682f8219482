"""Stratified bootstrap: seeds are resampled within each task, so that tasks keep their weights.

Intervals are percentile intervals of 95 %.  An agent with one run on each task, such as a
deterministic rule, has none: other seeds would give the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.reports.statistics import CONFIDENCE, Estimate, iqm

RESAMPLES = 2000

Samples = Sequence[np.ndarray]
"""(seeds,) or (seeds, points) for each task."""


def pooled_iqm(samples: Samples) -> Estimate:
    """Return the interquartile mean over all runs of all tasks, of a quantity or of a curve."""
    value = iqm(np.concatenate([*samples]))
    drawn = np.concatenate([part for part in _drawn(samples, 0)], axis=1)  # (resamples, runs, ...)
    return _estimate(value, iqm(drawn, axis=1), samples)


def probability_of_improvement(one: Samples, other: Samples) -> Estimate:
    """Return P(a run of one agent beats a run of another on the same task), mean over tasks.

    On each task it is the Mann-Whitney statistic as a share of all pairs; ties count half.
    """
    wins = [(a[:, None] > b) + 0.5 * (a[:, None] == b) for a, b in zip(one, other, strict=True)]
    value = np.asarray(np.mean([matrix.mean() for matrix in wins]))
    means = []
    for matrix, rows, columns in zip(wins, _indices(one, 0), _indices(other, 1), strict=True):
        means.append(matrix[rows[:, :, None], columns[:, None, :]].mean((1, 2)))
    return _estimate(value, np.mean(means, axis=0), (*one, *other))


def performance_profile(samples: Samples, scores: np.ndarray) -> Estimate:
    """Return the share of runs above each score, mean over tasks: (scores,)."""
    value = np.mean([(part[:, None] > scores).mean(0) for part in samples], axis=0)
    drawn = [(part[..., None] > scores).mean(1) for part in _drawn(samples, 0)]
    return _estimate(value, np.mean(drawn, axis=0), samples)


def _indices(samples: Samples, stream: int) -> list[np.ndarray]:
    """Return runs of each task, drawn with replacement: (resamples, seeds)."""
    rng = np.random.default_rng(stream)  # the same runs give the same report
    return [rng.integers(len(part), size=(RESAMPLES, len(part))) for part in samples]


def _drawn(samples: Samples, stream: int) -> list[np.ndarray]:
    return [part[index] for part, index in zip(samples, _indices(samples, stream), strict=True)]


def _estimate(value: np.ndarray, resampled: np.ndarray, samples: Samples) -> Estimate:
    value = np.asarray(value)
    if all(len(part) == 1 for part in samples):
        return Estimate(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    ends = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
    low, high = np.quantile(resampled, ends, axis=0)
    return Estimate(value, np.asarray(low), np.asarray(high))
