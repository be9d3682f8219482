"""Plans that are known before any evaluation: the uniform one, and the one of least error.

What a plan does to each layer is known from the calibration images: the least-squares factors say
how much of a layer's output is lost when it keeps k channels (`Engine.errors`).  The plan of least
total error within the budget,

    minimise  sum over units of error_u(k_u)   so that the cost of k is within the budget,

is where `error-allocation` begins, and what actions of the mode `"residual"` change.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from amc_gym.compression.cost import Cost
from amc_gym.engine.engine import By, Engine
from amc_gym.envs.budget import Budget
from amc_gym.envs.rules import largest

STEPS = (1, 2, 4, 8, 16)
"""Admissible counts that one removal may skip: errors do not fall evenly with every channel."""


def allocate(
    budget: Budget, cost: Cost, errors: Sequence[np.ndarray], limit: int
) -> tuple[int, ...]:
    """Return counts of small total error whose cost is within a limit.

    Greedily from the full network: time and again the removal that raises the error least for the
    cost that it saves.  What the last one left over is spent the same way, on what lowers the error
    most for its cost.

    Args:
        budget: whose admissible counts.
        cost: of plans, in the budget's resource.
        errors: of each unit at 0, 1, ... channels.
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


class Allocation:
    """Plans of one problem that no evaluation is needed for, each found when it is asked for.

    Args:
        engine: of the network.
        cost: in the budget's resource.
        budget: counts that may be kept.
    """

    def __init__(self, engine: Engine, cost: Cost, budget: Budget) -> None:
        self.engine, self.cost, self.budget = engine, cost, budget
        self._least: dict[By, tuple[int, ...]] = {}

    def demand_budget(self, who: str) -> None:
        """Refuse problems without a budget, of which there is no such plan.

        Args:
            who: wants one, as the user calls it.

        Raises:
            ValueError: naming the fix.
        """
        if self.budget.limit is None:
            raise ValueError(
                f"{who} needs a budget, and preserve_ratio is None: choose a share in (0, 1]"
            )

    def demand_errors(self, who: str) -> None:
        """Refuse single weights, of which there are no errors by channels kept.

        Args:
            who: wants them, as the user calls it.

        Raises:
            ValueError: naming the fix.
        """
        granularity = self.engine.options.granularity
        if granularity != "channel":
            raise ValueError(
                f"{who} goes by the errors of layers that keep few channels, and "
                f"granularity={granularity!r} has none: choose granularity='channel', or "
                "observation='paper' with action_mode='clamp' or 'feasible'"
            )

    @cached_property
    def uniform(self) -> tuple[int, ...]:
        """Counts of the largest plan that takes the same share of every unit's channels."""
        return largest(self.budget)

    @property
    def least_error(self) -> tuple[int, ...]:
        """Counts of small total error within the budget: `error-allocation`'s first plan."""
        return self.least(0.0)

    def least(self, by: By) -> tuple[int, ...]:
        """Return counts of small total error within the budget.

        Args:
            by: which errors, see ``Engine.errors``.
        """
        assert self.budget.limit is not None, "see demand_budget"
        if by not in self._least:
            (errors,) = self.engine.errors(by)
            self._least[by] = allocate(self.budget, self.cost, errors, self.budget.limit)
        return self._least[by]
