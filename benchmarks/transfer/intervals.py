"""Interquartile means over contexts, with intervals over networks and trainings.

Contexts of one network resemble each other, and so do trials of one training.  A bootstrap resample
therefore draws networks with all their contexts and, independently, trainings of the policy; for
agents without a policy, it draws seeds instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.reports.statistics import CONFIDENCE, TRIM, Estimate, iqm
from benchmarks.transfer.rows import Row

RESAMPLES = 2000


@dataclass(frozen=True)
class Scores:
    """Scores of one agent after a number of evaluations.

    Attributes:
        contexts: names of the contexts, in order.
        networks: network of each context.
        values: means over the seeds of each training, or each seed's own score, (contexts,
            repeats); NaN where there was no such trial.
    """

    contexts: tuple[str, ...]
    networks: tuple[str, ...]
    values: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """Return means over repeats, (contexts,)."""
        return np.nanmean(self.values, axis=1)

    def of_each(self) -> dict[str, float]:
        """Return the mean over the contexts of each network."""
        means, where = self.means, np.array(self.networks)
        return {name: float(means[where == name].mean()) for name in dict.fromkeys(self.networks)}

    def minus(self, other: Scores) -> Scores:
        """Return the differences to the other's means, on the contexts that both have."""
        theirs = dict(zip(other.contexts, other.means, strict=True))
        both = [i for i, context in enumerate(self.contexts) if context in theirs]
        rest = np.array([[theirs[self.contexts[i]]] for i in both]).reshape(-1, 1)
        contexts = tuple(self.contexts[i] for i in both)
        return Scores(contexts, tuple(self.networks[i] for i in both), self.values[both] - rest)


def scores(rows: Sequence[Row], evaluations: int) -> Scores:
    """Collect scores after ``evaluations`` from rows of one agent; rows without are left out."""
    key = f"after {evaluations}"
    known: dict[str, dict[str | int, list[float]]] = {}
    networks: dict[str, str] = {}
    for row in rows:
        if row[key] is not None and np.isfinite(row[key]):
            repeat = row["policy"] or row["seed"]
            known.setdefault(row["context"], {}).setdefault(repeat, []).append(row[key])
            networks[row["context"]] = row["network"]
    repeats = list(dict.fromkeys(repeat for found in known.values() for repeat in found))
    values = np.full((len(known), len(repeats)), np.nan)
    for i, found in enumerate(known.values()):
        for j, repeat in enumerate(repeats):
            if repeat in found:
                values[i, j] = np.mean(found[repeat])
    return Scores(tuple(known), tuple(networks.values()), values)


def estimate(scores: Scores) -> Estimate:
    """Compute the interquartile mean over contexts and its 95 % percentile bootstrap interval.

    With a single network there is no interval, since it says nothing about others.

    Raises:
        ValueError: there are no scores.
    """
    if not len(scores.values):
        raise ValueError("no scores to estimate from")
    value = iqm(scores.means)
    names = list(dict.fromkeys(scores.networks))
    if len(names) == 1:
        return Estimate(value, np.array(np.nan), np.array(np.nan))
    rng = np.random.default_rng(0)  # the same rows give the same report
    where = np.array([names.index(network) for network in scores.networks])
    networks = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    repeats = scores.values.shape[1]
    trainings = rng.multinomial(repeats, np.full(repeats, 1 / repeats), RESAMPLES)
    found = _weighted_iqm(_means(scores.values, trainings), networks[:, where])
    low, high = np.nanquantile(found, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Estimate(value, np.asarray(low), np.asarray(high))


def _means(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Compute means over resampled repeats.

    Args:
        values: (contexts, repeats), NaN where there is none.
        times: (resamples, repeats), how often each repeat was drawn.

    Returns:
        (resamples, contexts); the mean over all repeats where no drawn one has a value.
        (resamples, contexts); the mean over all where none that was drawn has a value.
    """
    known = np.isfinite(values)
    sums = times @ np.where(known, values, 0).T
    counts = times @ known.T
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nanmean(values, axis=1))


def _weighted_iqm(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Compute interquartile means of weighted values, as ``iqm`` of values repeated that often.

    Args:
        values: (resamples, n).
        times: (resamples, n), integer weights.

    Returns:
        (resamples,).
    """
    order = np.argsort(values, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    ends = np.cumsum(np.take_along_axis(times, order, axis=1), axis=1)
    total = ends[:, -1:]
    cut = (TRIM * total).astype(np.int64)
    begins = np.concatenate([np.zeros_like(total), ends[:, :-1]], axis=1)
    kept = np.clip(np.minimum(ends, total - cut) - np.maximum(begins, cut), 0, None)
    return (kept * values).sum(axis=1) / kept.sum(axis=1)
