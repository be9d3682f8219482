"""From finished runs to one row per agent: interquartile means with bootstrap intervals.

The interquartile mean (IQM) drops the best and the worst quarter of the seeds and averages the
rest: it is nearly as robust as the median and far more efficient (Agarwal et al., "Deep
Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021).  With fewer than
four seeds there is no whole quarter to drop, and it is the mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.studies.records import History, Record

TRIM = 0.25
CONFIDENCE = 0.95
RESAMPLES = 9999
_BATCH = 500  # resamples at a time: a learning curve of 400 points and 10 seeds fits in 16 MB


@dataclass(frozen=True)
class Estimate:
    """An interquartile mean and its interval, for one quantity or for each point of a curve.

    Attributes:
        value: the IQM over seeds.
        low: lower end of the percentile bootstrap interval; NaN for a single seed, which tells
            nothing about other seeds.
        high: upper end.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __getitem__(self, part: int | slice) -> Estimate:
        """Return the estimate at a point, or a part, of a curve."""
        return Estimate(*(np.asarray(each[part]) for each in (self.value, self.low, self.high)))


def iqm(samples: np.ndarray, axis: int = 0) -> np.ndarray:
    """Return the interquartile mean over an axis."""
    return np.asarray(stats.trim_mean(samples, TRIM, axis=axis))


def estimate(samples: Sequence[float] | np.ndarray) -> Estimate:
    """Return the IQM and its 95 % percentile bootstrap interval over the first axis.

    Args:
        samples: one value per seed, (seeds,), or one curve per seed, (seeds, points).  Points at
            which a seed has no value (NaN) have no estimate.

    Raises:
        ValueError: there are no samples.
    """
    samples = np.asarray(samples, dtype=np.float64)
    if not len(samples):
        raise ValueError("no samples to estimate from")
    if samples.ndim == 2 and np.isnan(samples).any():
        known = ~np.isnan(samples).any(0)
        parts = np.full((3, samples.shape[1]), np.nan)
        if known.any():
            some = estimate(samples[:, known])
            parts[:, known] = some.value, some.low, some.high
        return Estimate(*parts)
    value = iqm(samples)
    if len(samples) == 1:
        nothing = np.full_like(value, np.nan)
        return Estimate(value, nothing, nothing)
    interval = stats.bootstrap(
        (samples,),
        iqm,
        axis=0,
        n_resamples=RESAMPLES,
        batch=_BATCH,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),  # the same runs give the same report
    ).confidence_interval
    return Estimate(value, np.asarray(interval.low), np.asarray(interval.high))


def best_so_far(history: History, length: int) -> np.ndarray:
    """Return the best reward after each of ``length`` evaluations, (length,).

    It is NaN before the first finished episode, and constant after a run has ended.
    """
    best = np.full(length, np.nan)
    for reward, evaluation in zip(history.reward, history.evaluation, strict=True):
        best[evaluation - 1 :] = np.fmax(best[evaluation - 1 :], reward)
    return best


@dataclass(frozen=True)
class Row:
    """Summary of the runs of one agent.

    Attributes:
        agent: its name.
        records: its runs, by seed.
        reward: best reward.
        reward_accuracy: accuracy of the best plan on the reward images, which the search saw.
        test_accuracy: accuracy of the same plan on the test images.
        macs_ratio: MACs of the same plan as a share of the full network's.
        evaluations: evaluations of a run, median.
        distinct: distinct plans among them, median.
        seconds: wall-clock time of a run, median.
        agent_seconds: part of it outside of the environment, median.
        curve: best reward so far, for each evaluation of the budget.
    """

    agent: str
    records: tuple[Record, ...]
    reward: Estimate
    reward_accuracy: Estimate
    test_accuracy: Estimate
    macs_ratio: Estimate
    evaluations: float
    distinct: float
    seconds: float
    agent_seconds: float
    curve: Estimate

    @property
    def begins(self) -> int:
        """Index, from 0, of the evaluation at which every run has finished an episode."""
        return int(np.argmin(np.isnan(self.curve.value)))

    @property
    def early(self) -> float:
        """Best reward after a tenth of the budget, or where the curve begins if that is later.

        Every curve rises steeply at first; a picture's frame begins here.
        """
        return float(self.curve.value[max(self.begins, len(self.curve.value) // 10)])

    @property
    def seeds(self) -> int:
        """Number of runs."""
        return len(self.records)

    @property
    def best(self) -> Record:
        """The run whose plan has the highest reward, the first of equals."""
        return max(self.records, key=lambda record: record.best.reward)


def rows_of(records: Iterable[Record]) -> list[Row]:
    """Return one row per agent, the highest test accuracy first.

    Args:
        records: finished runs of one setting, at least one for each agent; agents are distinguished
            by their labels.
    """
    runs: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        runs[record.run.label].append(record)
    rows = [_row(agent, sorted(of, key=lambda r: r.run.seed)) for agent, of in runs.items()]
    return sorted(rows, key=lambda row: (-float(row.test_accuracy.value), row.agent))


def _row(agent: str, records: list[Record]) -> Row:
    length = records[0].run.setting.episodes
    best = [record.best for record in records]
    return Row(
        agent=agent,
        records=tuple(records),
        reward=estimate([b.reward for b in best]),
        reward_accuracy=estimate([b.reward_accuracy for b in best]),
        test_accuracy=estimate([b.test_accuracy for b in best]),
        macs_ratio=estimate([b.macs_ratio for b in best]),
        evaluations=float(np.median([r.evaluations for r in records])),
        distinct=float(np.median([r.distinct for r in records])),
        seconds=float(np.median([r.seconds for r in records])),
        agent_seconds=float(np.median([r.agent_seconds for r in records])),
        curve=estimate(np.stack([best_so_far(r.history, length) for r in records])),
    )
