"""How well one accuracy predicts another, over plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 9999


@dataclass(frozen=True)
class Correlation:
    """A coefficient in [-1, 1], its 95 % bootstrap interval over plans, and how many they were."""

    value: float
    low: float
    high: float
    plans: int

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Agreement:
    """Of a signal with the accuracy after fine-tuning.

    Attributes:
        pearson: of all plans.
        spearman: of all plans.
        upper: Spearman's, of the half of the plans that are best after fine-tuning.
    """

    pearson: Correlation
    spearman: Correlation
    upper: Correlation


def agreement(signal: Sequence[float], tuned: Sequence[float]) -> Agreement:
    """The correlations.

    Args:
        signal: of each plan.
        tuned: accuracy of each plan after fine-tuning.

    Raises:
        ValueError: fewer than 6 plans, or not as many of both.
    """
    x, y = np.asarray(signal, dtype=np.float64), np.asarray(tuned, dtype=np.float64)
    if x.shape != y.shape or len(x) < 6:
        raise ValueError(f"at least 6 plans with both accuracies are needed, not {len(x)}")
    upper = np.argsort(-y, kind="stable")[: (len(y) + 1) // 2]
    return Agreement(
        pearson=_correlation(x, y, ranked=False),
        spearman=_correlation(x, y, ranked=True),
        upper=_correlation(x[upper], y[upper], ranked=True),
    )


def _correlation(x: np.ndarray, y: np.ndarray, *, ranked: bool) -> Correlation:
    drawn = np.random.default_rng(0).integers(len(x), size=(RESAMPLES, len(x)))
    values = _coefficients(x[drawn], y[drawn], ranked)
    low, high = np.quantile(values, [0.025, 0.975])
    value = _coefficients(x[None], y[None], ranked)[0]
    return Correlation(float(value), float(low), float(high), len(x))


def _coefficients(x: np.ndarray, y: np.ndarray, ranked: bool) -> np.ndarray:
    """Pearson's coefficient of each row, or Spearman's; 0 where all plans of a row are alike."""
    if ranked:
        x, y = (stats.rankdata(side, axis=1) for side in (x, y))
    x, y = (side - side.mean(axis=1, keepdims=True) for side in (x, y))
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    covariance = (x * y).sum(axis=1)
    return np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 1e-12)
