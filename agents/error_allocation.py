"""A searcher of our own: where the layers' errors are to lie is all that is searched.

What a plan does to each layer is known before any evaluation: the least-squares factors say how
much of a layer's output is lost when it keeps k channels (`Engine.errors`, from the calibration
images).  What is not known is how much a loss in one layer matters against a loss in another.  So a
plan is named by one weight per unit, and is that of least weighted error within the budget:

    minimise  sum over units of exp(w_u) error_u(k_u)   so that the cost of k is within the budget

The first evaluation has all weights equal.  The others come from a Gaussian process over the
weights (Optuna's), which needs few evaluations: every weight vector is a sensible plan that uses
the budget up, and reward changes slowly with the weights, where it is rugged in channel counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from agents.black_box import SAMPLERS, maximise, optuna
from agents.plans import amc, execute
from agents.registry import register
from amc_gym.compression.cost import Cost
from amc_gym.envs.budget import Budget

RANGE = 1.5
"""Of log-weights to either side: the loss of one unit counts up to 20 times that of another."""

STEPS = (1, 2, 4, 8, 16)
"""Admissible counts that one removal may skip: errors do not fall evenly with every channel."""


def allocate(
    budget: Budget, cost: Cost, errors: Sequence[np.ndarray], limit: int
) -> tuple[int, ...]:
    """Counts of small total error whose cost is within a limit.

    Greedily from the full network: time and again the removal that raises the error least for the
    cost that it saves.  What the last one left over is spent the same way, on what lowers the error
    most for its cost.

    Args:
        budget: whose admissible counts.
        cost: of plans, in the budget's resource.
        errors: of each unit at 0, 1, ... channels, weighted.
        limit: on the cost; one that the smallest admissible network keeps.
    """
    choices = [np.array(counts) for counts in budget.admissible]
    table = [error[counts] for error, counts in zip(errors, choices, strict=True)]
    place = np.array([len(counts) - 1 for counts in choices])

    def moved(steps: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every admissible move: places of its plan, cost, and how much it raises the error."""
        moves = [(u, at + step) for u, at in enumerate(place) for step in steps]
        moves = [(u, at) for u, at in moves if 0 <= at < len(choices[u])]
        if not moves:
            return np.empty((0, len(place)), int), np.empty(0), np.empty(0)
        units, to = np.array(moves).T
        places = np.repeat(place[None], len(moves), axis=0)
        places[np.arange(len(moves)), units] = to
        counts = np.stack([choices[u][places[:, u]] for u in range(len(place))], axis=1)
        rise = [table[u][at] - table[u][place[u]] for u, at in moves]
        return places, cost.totals(counts), np.array(rise)

    spent = cost.total([each[-1] for each in choices])
    while spent > limit:
        places, costs, rise = moved([-step for step in STEPS])
        # Where nothing is saved, by layers that cost nothing, nothing is to be lost either.
        best = np.argmin(rise / np.maximum(spent - costs, 1e-9))
        place, spent = places[best], int(costs[best])
    while True:
        places, costs, rise = moved(STEPS)
        fits = costs <= limit
        if not fits.any():
            return tuple(int(choices[u][at]) for u, at in enumerate(place))
        gain = np.where(fits, -rise / np.maximum(costs - spent, 1e-9), -np.inf)
        place, spent = places[np.argmax(gain)], int(costs[np.argmax(gain)])


@register("error-allocation")
class ErrorAllocation:
    """A Gaussian process over the weights of the layers' errors.

    Without a budget the share of the full cost is searched as well.

    Args:
        env: an AMC environment that prunes channels, in either action mode.
        seed: of the process.

    Raises:
        ImportError: Optuna is not installed.
        ValueError: the environment prunes single weights.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int) -> None:
        self._optuna = optuna("error-allocation")
        self.env, inner = env, amc(env)
        self.errors = inner.engine.errors()
        self.sampler = SAMPLERS["gp"](self._optuna.samplers, seed)

    def learn(self, episodes: int) -> None:
        """Evaluate ``episodes`` plans, that of equal weights first."""
        names = [str(unit) for unit in range(len(self.errors))]
        first = dict.fromkeys(names, 0.0)
        if amc(self.env).budget.limit is None:
            first["size"] = 0.5

        def objective(trial: Any) -> float:
            weights = [trial.suggest_float(name, -RANGE, RANGE) for name in names]
            size = trial.suggest_float("size", 0.0, 1.0) if "size" in first else None
            return execute(self.env, self.plan(weights, size))["reward"]

        maximise(self._optuna, objective, self.sampler, episodes, first)

    def plan(self, weights: Sequence[float], size: float | None = None) -> tuple[int, ...]:
        """Counts of the plan that log-weights name.

        Args:
            weights: of each unit.
            size: where there is no budget, from 0, the smallest admissible cost, to 1, the full.
        """
        inner = amc(self.env)
        weighted = [np.exp(w) * error for w, error in zip(weights, self.errors, strict=True)]
        limit = inner.budget.limit
        if limit is None:
            assert size is not None, "without a budget a size is needed"
            least = inner.cost.total([counts[0] for counts in inner.budget.admissible])
            limit = int(least + size * (inner.cost.full - least))
        return allocate(inner.budget, inner.cost, weighted, limit)
