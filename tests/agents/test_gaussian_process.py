"""A Gaussian process for many trials: Optuna's at first, then one that is seldom refitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest

from agents.black_box import gaussian_process, quiet_optuna
from agents.gaussian_process import Process

NAMES = ("a", "b", "c")


def values(points: np.ndarray) -> np.ndarray:
    """Return the heights at points of a Gaussian hill: width 0.5, 1 at its top (0.2, 0.4, 0.6)."""
    return np.exp(-2 * np.square(points - [0.2, 0.4, 0.6]).sum(axis=-1))


def trials(sampler: Any, number: int) -> list[dict[str, float]]:
    study = quiet_optuna().create_study(sampler=sampler, direction="maximize")

    def objective(trial: optuna.Trial) -> float:
        # Each parameter has its own range, which the sampler has to map to [0, 1].
        point = [trial.suggest_float(name, n, 2 * n + 1) for n, name in enumerate(NAMES)]
        return float(values((np.array(point) - [0, 1, 2]) / [1, 2, 3]))

    study.optimize(objective, n_trials=number)
    return [trial.params for trial in study.trials]


def test_the_first_trials_are_optunas_and_the_others_near_the_top() -> None:
    found = trials(gaussian_process(0, few=14), 24)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        plain = optuna.samplers.GPSampler(seed=0, deterministic_objective=True)
    assert found[:14] == trials(plain, 14)
    assert found == trials(gaussian_process(0, few=14), 24)
    assert found != trials(gaussian_process(1, few=14), 24)
    points = np.array([[each[name] for name in NAMES] for each in found])
    inside = (points >= [0, 1, 2]) & (points <= [1, 3, 5])
    assert inside.all()
    assert values((points[14:] - [0, 1, 2]) / [1, 2, 3]).max() > 0.99


def test_a_process_climbs_from_what_was_drawn() -> None:
    process, rng = Process(0), np.random.default_rng(0)
    points = rng.random((30, 3)) * [1.0, 1.0, 0.3]  # none near the top
    before = values(points).max()
    for _ in range(8):
        points = np.vstack([points, process.propose(points, values(points))])
    assert before < 0.9
    assert values(points).max() > 0.98


def test_the_kernel_is_fitted_when_trials_have_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor as Regressor

    fits = []
    fit = Regressor.fit
    monkeypatch.setattr(
        Regressor, "fit", lambda self, X, y: fits.append(self.optimizer) or fit(self, X, y)
    )
    process, points = Process(0), np.random.default_rng(0).random((30, 3))
    for n in range(20, 31):
        process.propose(points[:n], values(points[:n]))
    fitted = [n for n, optimizer in zip(range(20, 31), fits, strict=True) if optimizer is not None]
    assert fitted == [20, 23, 27]  # each time there are 1.15 times as many trials


def test_equal_rewards_do_not_stop_the_search() -> None:
    points = np.random.default_rng(0).random((12, 3))
    proposed = Process(0).propose(points, np.full(12, 0.5))
    assert proposed.shape == (3,)
    assert np.isfinite(proposed).all()
