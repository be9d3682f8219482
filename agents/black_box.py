"""Optuna's samplers over whole plans: random shares, TPE, CMA-ES and a Gaussian process.

A trial is one episode.  Its parameters are the units' shares of channels, of which only the
proportions matter: they are scaled to what the budget just allows, so that no evaluation is spent
on a plan that breaks the budget or leaves room in it (`Budget.scaled`).  The first trial is the
uniform plan.

Optuna is imported when a learner is made, so that the other agents work without it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from .plans import amc, execute
from .registry import register
from .threads import learner_threads

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

NEEDS = ("optuna", "cmaes", "greenlet")
"""Optuna, what its CMA-ES is, and what its Gaussian process is slow without."""

LEAST = 0.05
"""Smallest share of a unit, against at most 1: one unit may keep 20 times the other's."""


class BlackBox:
    """One of Optuna's samplers.

    Args:
        env: an AMC environment in either action mode.
        seed: of the sampler.
        sampler: a name in ``SAMPLERS``.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int, *, sampler: str) -> None:
        self.env = env
        self._optuna = quiet_optuna()
        self.sampler = SAMPLERS[sampler](self._optuna.samplers, seed)

    def learn(self, episodes: int) -> None:
        """Evaluate ``episodes`` plans."""
        budget = amc(self.env).budget
        names = [str(unit) for unit in range(len(budget.channels))]

        def objective(trial: Any) -> float:
            shares = [trial.suggest_float(name, LEAST, 1.0) for name in names]
            return execute(self.env, budget.scaled(shares))[0]

        maximise(self._optuna, objective, self.sampler, episodes, dict.fromkeys(names, 1.0))


def maximise(
    optuna: Any,
    objective: Callable[[Any], float],
    sampler: BaseSampler,
    trials: int,
    first: dict[str, float],
) -> None:
    """Spend ``trials`` on an objective, beginning with the parameters ``first``."""
    study = optuna.create_study(sampler=sampler, direction="maximize")
    study.enqueue_trial(first)
    with learner_threads():
        study.optimize(objective, n_trials=trials)


def quiet_optuna() -> Any:
    """Return the package, quiet about each trial."""
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    return optuna


def _stable(make: Callable[..., BaseSampler], **options: Any) -> BaseSampler:
    """Return a sampler, without the news that it is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", quiet_optuna().exceptions.ExperimentalWarning)
        return make(**options)


def gaussian_process(seed: int, drawn: int = 10, **options: Any) -> BaseSampler:
    """Return a Gaussian process for an objective without noise, after ``drawn`` random trials.

    Args:
        seed: of the sampler.
        drawn: trials at random.
        options: more of ``FrugalSampler``.
    """
    from .gaussian_process import FrugalSampler

    given = {"n_startup_trials": drawn, "deterministic_objective": True, **options}
    return _stable(FrugalSampler, seed=seed, **given)


SAMPLERS: dict[str, Callable[[Any, int], BaseSampler]] = {
    "random-shares": lambda samplers, seed: samplers.RandomSampler(seed=seed),
    "tpe": lambda samplers, seed: _stable(samplers.TPESampler, seed=seed, multivariate=True),
    "cma-es": lambda samplers, seed: samplers.CmaEsSampler(seed=seed),
    "gp": lambda samplers, seed: gaussian_process(seed),
}
"""Name -> (optuna.samplers, seed) -> the sampler."""

for _sampler in SAMPLERS:
    register(_sampler, kind="searcher", needs=NEEDS)(partial(BlackBox, sampler=_sampler))
