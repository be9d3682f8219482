"""Optuna's samplers over whole plans: random shares, TPE, CMA-ES and a Gaussian process.

A trial is one episode.  Its parameters are the units' shares of channels, of which only the
proportions matter: they are scaled to use up the budget, so that no evaluation is spent on a plan
that exceeds the budget or leaves room in it (`Budget.scaled`).  The first trial is the uniform
plan.

Optuna is imported when a learner is made, so that the other agents work without it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from functools import partial
from math import floor, log
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from amc_gym.envs.batched_evaluation import evaluated_ahead

from .plans import amc, execute
from .registry import register
from .threads import learner_threads

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

NEEDS = ("optuna", "cmaes", "greenlet")
"""Optuna, the package of its CMA-ES, and one without which its Gaussian process is slow."""

DRAWN = 64
"""Number of random plans that are drawn at a time."""

LEAST = 0.05
"""Smallest share of a unit, the largest being 1: shares may differ by a factor of 20."""


class BlackBox:
    """An agent that searches with one of Optuna's samplers.

    Args:
        env: an AMC environment in either action mode.
        seed: of the sampler.
        sampler: a name in ``SAMPLERS``.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int, *, sampler: str) -> None:
        self.env, self.name = env, sampler
        self._optuna = quiet_optuna()
        self.sampler = SAMPLERS[sampler](self._optuna.samplers, seed)

    def learn(self, episodes: int) -> None:
        """Evaluate ``episodes`` plans."""
        budget = amc(self.env).budget
        names = [str(unit) for unit in range(len(budget.channels))]
        study = begun(self._optuna, self.sampler, dict.fromkeys(names, 1.0))

        def ask() -> tuple[Any, tuple[int, ...]]:
            trial = study.ask()
            return trial, budget.scaled([trial.suggest_float(name, LEAST, 1.0) for name in names])

        done = 0
        with learner_threads():
            while done < episodes:
                known = min(self.known(done, len(names)), episodes - done)
                trials, plans = zip(*[ask() for _ in range(known)], strict=True)
                for trial, counts in zip(trials, evaluated_ahead(self.env, plans), strict=True):
                    study.tell(trial, execute(self.env, counts)[0])
                done += known

    def known(self, done: int, units: int) -> int:
        """Return how many trials depend on no reward still to come: a generation's, or one.

        Args:
            done: trials whose reward is known; the first, the uniform plan, is in no generation.
            units: number of parameters of a trial.
        """
        if self.name == "random-shares":
            return DRAWN
        if self.name != "cma-es":
            return 1
        generation = 4 + floor(3 * log(units))  # the default of CMA-ES (Hansen, 2016, table 1)
        # Optuna draws each trial from its own optimizer until a finished trial, the first of the
        # second generation, holds the optimizer's state.
        alone = done in (0, 1 + generation)
        return 1 if alone else generation - (done - 1) % generation


def begun(optuna: Any, sampler: BaseSampler, first: dict[str, float]) -> Any:
    """Return a study that maximises and starts with the parameters ``first``."""
    study = optuna.create_study(sampler=sampler, direction="maximize")
    study.enqueue_trial(first)
    return study


def quiet_optuna() -> Any:
    """Return the package, with its log messages about trials turned off."""
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    return optuna


def _stable(make: Callable[..., BaseSampler], **options: Any) -> BaseSampler:
    """Return a sampler, without the warning that it is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", quiet_optuna().exceptions.ExperimentalWarning)
        return make(**options)


def gaussian_process(seed: int, drawn: int = 10, **options: Any) -> BaseSampler:
    """Return a Gaussian process for an objective without noise, after ``drawn`` random trials.

    Args:
        seed: of the sampler.
        drawn: number of random trials.
        options: further options of ``FrugalSampler``.
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
