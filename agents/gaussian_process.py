"""Optuna's Gaussian process, and scikit-learn's once there are many trials.

Optuna's sampler maximises the likelihood of its kernel anew before each trial, at a cost that grows
with the cube of the trials before: beyond a hundred it spends nearly all of a run.  From there on
the kernel is fitted only when the trials have grown by a share, from where it was, and the
expected improvement is maximised over candidates that are drawn, not by gradients.  Both models are
the same: a Matern kernel (nu = 5/2) with a length for each parameter, over an objective that is all
but free of noise.

Whoever needs it imports it when a learner is made: it needs Optuna.
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
"""Trials that are left to Optuna, where nobody says otherwise."""

GROWN = 1.15
"""The kernel is fitted anew when there are so many times the trials of the last fit."""

STEPS = 20
"""Iterations of a fit at most; it begins where the last one ended."""

NOISE = 1e-3
"""Variance of the noise against the objective's: accuracies of some hundred images are rounded."""

DRAWN = 512
"""Candidates that are drawn evenly, and as many around the best trials."""

PARENTS = 8
"""Points that candidates are drawn around: the best trials, then the best candidates."""

SPREADS = (0.1, 0.05, 0.02, 0.01)
"""Standard deviations around them, round after round; the range of a parameter is 1."""

CHANGED = 0.4
"""Share of a parent's parameters that are changed."""


class FrugalSampler(GPSampler):
    """Optuna's Gaussian process for the first trials, and ``Process`` for the rest.

    Studies maximise one value, over parameters that are real numbers.

    Args:
        seed: of all that is drawn.
        few: trials that are left to Optuna.
        options: more of Optuna's sampler.
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
        """Return the point (T,) of the largest expected improvement that was found.

        Args:
            points: tried so far, (n, T).
            values: of the objective there, (n,).
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
        """Draw points near some others, of which a share of the parameters is changed."""
        rng = self._rng
        chosen = parents[rng.integers(len(parents), size=DRAWN)]
        changed = rng.random(chosen.shape) < CHANGED
        changed[np.arange(DRAWN), rng.integers(chosen.shape[1], size=DRAWN)] = True
        moved = chosen + spread * changed * rng.standard_normal(chosen.shape)
        return moved.clip(0.0, 1.0)

    def _improvement(
        self, points: np.ndarray, values: np.ndarray
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Fit the process; return the expected improvement (m,) at points (m, T)."""
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
        """Return scikit-learn's process given what was tried, its kernel fitted now and then."""
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern

        lengths: Any = np.ones(points.shape[1])
        if self._kernel is None:
            self._kernel = ConstantKernel(1.0, (0.05, 20.0)) * Matern(lengths, (0.1, 30.0), nu=2.5)
        again = len(values) >= GROWN * self._fitted
        optimizer: Any = _few_steps if again else None
        process = GaussianProcessRegressor(self._kernel, alpha=NOISE, optimizer=optimizer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a length at the end of its range: it does not matter
            process.fit(points, values)
        if again:
            self._kernel, self._fitted = process.kernel_, len(values)
        return process


def _few_steps(
    loss: Callable[..., Any], start: np.ndarray, bounds: np.ndarray
) -> tuple[np.ndarray, float]:
    """Minimise as scikit-learn does, within some iterations."""
    from scipy.optimize import minimize

    found = minimize(
        loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": STEPS}
    )
    return found.x, found.fun
