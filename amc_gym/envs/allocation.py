"""Plans that need no evaluation: the uniform plan, and the plan of least error.

The effect of a plan on each layer is known from the calibration images: the least-squares factors
tell how much of a layer's output is lost when it keeps k channels (`Engine.errors`).  The plan of
least
total error within the budget,

    minimise  sum over units of error_u(k_u)   so that the cost of k is within the budget,

is the first plan of `error-allocation`, and what actions of the mode `"residual"` change.
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
"""Steps in admissible counts that one removal may take: errors change unevenly with counts."""


def allocate(
    budget: Budget, cost: Cost, errors: Sequence[np.ndarray], limit: int
) -> tuple[int, ...]:
    """Return counts of small total error whose cost is within a limit.

    Works greedily from the full network: it repeats the removal that raises the error least per
    cost saved.  What is left of the limit in the end is spent on the additions that lower the error
    most per cost.

    Args:
        budget: defines the admissible counts.
        cost: of plans, in the budget's resource.
        errors: errors of each unit when it keeps 0, 1, ... channels.
        limit: on the cost; the smallest admissible network must be within it.
    """
    choices = [np.array(counts) for counts in budget.admissible]
    table = [error[counts] for error, counts in zip(errors, choices, strict=True)]
    place = np.array([len(counts) - 1 for counts in choices])

    def moved(steps: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return all admissible moves: positions of counts, costs, and increases of the error."""
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
        # A move that saves nothing, in layers that cost nothing, must not lose anything either.
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
    """Plans of one problem that need no evaluation, each computed when it is asked for.

    Args:
        engine: of the network.
        cost: in the budget's resource.
        budget: the admissible counts and their limit.
    """

    def __init__(self, engine: Engine, cost: Cost, budget: Budget) -> None:
        self.engine, self.cost, self.budget = engine, cost, budget
        self._least: dict[By, tuple[int, ...]] = {}

    def demand_budget(self, who: str) -> None:
        """Refuse problems without a budget, for which these plans are not defined.

        Args:
            who: what asks for a plan, as the user calls it.

        Raises:
            ValueError: there is no budget; the message names the fix.
        """
        if self.budget.limit is None:
            raise ValueError(
                f"{who} needs a budget, but preserve_ratio is None: choose a share in (0, 1]"
            )

    def demand_errors(self, who: str) -> None:
        """Refuse weight pruning, for which there are no errors by kept channels.

        Args:
            who: what asks for errors, as the user calls it.

        Raises:
            ValueError: the granularity is "weight"; the message names the fix.
        """
        granularity = self.engine.options.granularity
        if granularity != "channel":
            raise ValueError(
                f"{who} needs the errors of layers that keep few channels, which do not exist with "
                f"granularity={granularity!r}: choose granularity='channel', or "
                "observation='paper' with action_mode='clamp' or 'feasible'"
            )

    @cached_property
    def uniform(self) -> tuple[int, ...]:
        """Counts of the largest plan within the budget that keeps an equal share of every unit."""
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
