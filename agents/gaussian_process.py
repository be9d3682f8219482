"""Optuna's Gaussian process, and scikit-learn's once there are many trials.

Optuna's sampler maximises the likelihood of its kernel again before each trial, at a cost that
grows with the cube of the number of trials: beyond a hundred it takes nearly all of a run's time.
From there on, the kernel is fitted only when the number of trials has grown by a share, starting
from the previous fit, and the expected improvement is maximised over random candidates rather than
by gradients.  Both models are the same: a Matern kernel (nu = 5/2) with a length scale for each
parameter, for an objective almost without noise.

This module needs Optuna, and is imported when a learner is made.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import GPSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

FEW = 100
"""Default number of trials that are left to Optuna."""

GROWN = 1.15
"""Growth in the number of trials after which the kernel is fitted again."""

STEPS = 20
"""Most iterations of a fit, which starts from the previous one."""

NOISE = 1e-3
"""Variance of the noise relative to the objective's, for accuracies on some hundred images."""

DRAWN = 512
"""Number of candidates that are drawn uniformly, and of those around the best trials."""

PARENTS = 8
"""Number of points that candidates are drawn around: best trials, then best candidates."""

SPREADS = (0.1, 0.05, 0.02, 0.01)
"""Standard deviation around them in each round; the range of a parameter is 1."""

CHANGED = 0.4
"""Share of a parent's parameters that are changed."""


class FrugalSampler(GPSampler):
    """A sampler with Optuna's Gaussian process for the first trials, and ``Process`` afterwards.

    Studies maximise one value, over parameters that are real numbers.

    Args:
        seed: of all draws.
        few: number of trials that are left to Optuna.
        options: further options of Optuna's sampler.
    """

    def __init__(self, *, seed: int, few: int = FEW, **options: Any) -> None:
        super().__init__(seed=seed, **options)
        self._few = few
        self._process = Process(seed)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the next trial's parameters."""
        known = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(known) < self._few:
            return super().sample_relative(study, trial, search_space)
        ranges = {
            name: (each.low, each.high - each.low)
            for name, each in search_space.items()
            if isinstance(each, FloatDistribution)
        }
        low, width = np.array(list(ranges.values())).T
        points = np.array([[each.params[name] for name in ranges] for each in known])
        values = np.array([each.value for each in known])
        proposed = low + width * self._process.propose((points - low) / width, values)
        return dict(zip(ranges, proposed.tolist(), strict=True))


class Process:
    """A Gaussian process over [0, 1]^T that proposes where an objective may improve most.

    Args:
        seed: of the candidates.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._kernel: Any = None
        self._fitted = 0

    def propose(self, points: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the point (T,) with the largest expected improvement among the candidates.

        Args:
            points: tried points, (n, T).
            values: of the objective at these points, (n,).
        """
        improvement = self._improvement(points, values)
        best = points[np.argsort(-values, kind="stable")[:PARENTS]]
        found = np.vstack([self._rng.random((DRAWN, points.shape[1])), self._around(best, 0.2)])
        gains = improvement(found)
        for spread in SPREADS:
            parents = found[np.argsort(-gains, kind="stable")[:PARENTS]]
            children = self._around(parents, spread)
            found, gains = np.vstack([found, children]), np.append(gains, improvement(children))
        return found[np.argmax(gains)]

    def _around(self, parents: np.ndarray, spread: float) -> np.ndarray:
        """Draw points near others by changing a share of their parameters."""
        rng = self._rng
        chosen = parents[rng.integers(len(parents), size=DRAWN)]
        changed = rng.random(chosen.shape) < CHANGED
        changed[np.arange(DRAWN), rng.integers(chosen.shape[1], size=DRAWN)] = True
        moved = chosen + spread * changed * rng.standard_normal(chosen.shape)
        return moved.clip(0.0, 1.0)

    def _improvement(
        self, points: np.ndarray, values: np.ndarray
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Fit the process, and return the expected improvement (m,) at points (m, T)."""
        from scipy.special import ndtr

        standard = (values - values.mean()) / max(values.std(), 1e-12)
        process = self._conditioned(points, standard)
        highest = standard.max()

        def improvement(at: np.ndarray) -> np.ndarray:
            mean, deviation = process.predict(at, return_std=True)
            deviation = np.maximum(deviation, 1e-9)
            z = (mean - highest) / deviation
            density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
            return deviation * (z * ndtr(z) + density)

        return improvement

    def _conditioned(self, points: np.ndarray, values: np.ndarray) -> Any:
        """Return scikit-learn's process conditioned on the tried points, refitted now and then."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern

        lengths: Any = np.ones(points.shape[1])
        if self._kernel is None:
            self._kernel = ConstantKernel(1.0, (0.05, 20.0)) * Matern(lengths, (0.1, 30.0), nu=2.5)
        again = len(values) >= GROWN * self._fitted
        optimizer: Any = _few_steps if again else None
        process = GaussianProcessRegressor(self._kernel, alpha=NOISE, optimizer=optimizer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a length at the end of its range: harmless
            process.fit(points, values)
        if again:
            self._kernel, self._fitted = process.kernel_, len(values)
        return process


def _few_steps(
    loss: Callable[..., Any], start: np.ndarray, bounds: np.ndarray
) -> tuple[np.ndarray, float]:
    """Minimise as scikit-learn does, with a limit on the iterations."""
    from scipy.optimize import minimize

    found = minimize(
        loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": STEPS}
    )
    return found.x, found.fun
