"""Agreement between two accuracies over plans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 9999


@dataclass(frozen=True)
class Correlation:
    """A coefficient in [-1, 1], its 95 % bootstrap interval over plans, and the number of plans."""

    value: float
    low: float
    high: float
    plans: int

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Agreement:
    """Agreement of a signal with the accuracy after fine-tuning.

    Attributes:
        pearson: Pearson's correlation over all plans.
        spearman: Spearman's correlation over all plans.
        upper: Spearman's over the half of the plans that are best after fine-tuning.
        beyond: Spearman's partial correlation over all plans, given their sizes, because larger
            networks are better, which is known without a signal.
    """

    pearson: Correlation
    spearman: Correlation
    upper: Correlation
    beyond: Correlation


def agreement(signal: Sequence[float], tuned: Sequence[float], sizes: Sequence[float]) -> Agreement:
    """Return the correlations.

    Args:
        signal: value of the signal for each plan.
        tuned: accuracy of each plan after fine-tuning.
        sizes: share of the MACs of each plan.

    Raises:
        ValueError: there are fewer than 6 plans, or the numbers differ.
    """
    x, y, z = (np.asarray(each, dtype=np.float64) for each in (signal, tuned, sizes))
    if not x.shape == y.shape == z.shape or len(x) < 6:
        raise ValueError(f"at least 6 plans with both accuracies are needed, not {len(x)}")
    upper = np.argsort(-y, kind="stable")[: (len(y) + 1) // 2]
    return Agreement(
        pearson=_correlation(_coefficients, x, y),
        spearman=_correlation(_ranked, x, y),
        upper=_correlation(_ranked, x[upper], y[upper]),
        beyond=_correlation(_partial, x, y, z),
    )


def _correlation(coefficients: Callable[..., np.ndarray], *sides: np.ndarray) -> Correlation:
    """Return the correlation of two sides with one entry per plan each."""
    plans = len(sides[0])
    drawn = np.random.default_rng(0).integers(plans, size=(RESAMPLES, plans))
    values = coefficients(*(side[drawn] for side in sides))
    low, high = np.quantile(values, [0.025, 0.975])
    value = coefficients(*(side[None] for side in sides))[0]
    return Correlation(float(value), float(low), float(high), plans)


def _coefficients(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Pearson's coefficient of each row; 0 if all plans of a row are equal."""
    x, y = (side - side.mean(axis=1, keepdims=True) for side in (x, y))
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return _quotient((x * y).sum(axis=1), scale)


def _ranked(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Spearman's coefficient of each row."""
    return _coefficients(stats.rankdata(x, axis=1), stats.rankdata(y, axis=1))


def _partial(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return Spearman's partial coefficient of x and y in each row, given z; 0 if undefined."""
    xy, xz, yz = _ranked(x, y), _ranked(x, z), _ranked(y, z)
    return _quotient(xy - xz * yz, np.sqrt(np.clip((1 - xz**2) * (1 - yz**2), 0, None)))


def _quotient(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 1e-12)
