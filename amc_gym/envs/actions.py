"""Actions in [0, 1] and the count that the next unit keeps, within the budget."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from math import exp, log
from typing import ClassVar

import numpy as np

from amc_gym.envs.allocation import Allocation
from amc_gym.envs.batched_budget import BatchedBudget
from amc_gym.envs.budget import nearest


class ActionMode(ABC):
    """One meaning of actions.

    Args:
        allocation: plans of the problem that are known before, and its budget.

    Attributes:
        name: what the option ``action_mode`` calls it.
        summary: what it executes, in one line.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    def __init__(self, allocation: Allocation) -> None:
        self.allocation, self.budget = allocation, allocation.budget

    @cached_property
    def batched(self) -> BatchedBudget:
        """The budget's rules for several episodes at once."""
        return BatchedBudget(self.budget, self.allocation.cost.totals)

    @abstractmethod
    def decide(self, executed: Sequence[int], action: float) -> int:
        """Return the count of the next unit.

        Args:
            executed: counts of the units before.
            action: in [0, 1].
        """

    @abstractmethod
    def action(self, executed: Sequence[int], count: int) -> float:
        """The action that ``decide`` answers with ``count``, or with what comes nearest to it."""

    @abstractmethod
    def decide_all(self, executed: np.ndarray, actions: list[float]) -> np.ndarray:
        """The counts of n episodes that stand at one unit: executed (n, t) -> counts (n,) int64."""


class Clamp(ActionMode):
    """The action is the sparsity; the budget clamps it (paper, Algorithm 1)."""

    name = "clamp"
    summary = "nearest admissible to (1 - a) C, at most the largest the budget leaves"

    def decide(self, executed: Sequence[int], action: float) -> int:
        """See ``Budget.clamp``."""
        return self.budget.clamp(executed, action)

    def action(self, executed: Sequence[int], count: int) -> float:
        """Return the sparsity itself."""
        return 1 - count / self.budget.channels[len(executed)]

    def decide_all(self, executed: np.ndarray, actions: list[float]) -> np.ndarray:
        """See ``BatchedBudget.clamp``."""
        return self.batched.clamp(executed, actions)


class Feasible(ActionMode):
    """The action says where between the extremes that the budget leaves."""

    name = "feasible"
    summary = "a from 0 to 1 runs linearly from the largest the budget leaves to the least"

    def decide(self, executed: Sequence[int], action: float) -> int:
        """See ``Budget.feasible``."""
        return self.budget.feasible(executed, action)

    def action(self, executed: Sequence[int], count: int) -> float:
        """Where between the unit's cap and its least the count lies."""
        least, cap = self.budget.admissible[len(executed)][0], self.budget.cap(executed)
        return (cap - count) / (cap - least) if cap > least else 0.0

    def decide_all(self, executed: np.ndarray, actions: list[float]) -> np.ndarray:
        """See ``BatchedBudget.feasible``."""
        return self.batched.feasible(executed, actions)


RANGE = 1.0
"""Bound of the log-factors of "residual" to either side: e times and 1 / e times as many."""

FINENESS = 0.01
"""Ratio less 1 of two neighbouring scales that "residual" tries."""


class Residual(ActionMode):
    """The action changes the plan of least error, which 0.5 is.

    A unit's share of that plan is scaled twice: with all units still to come by what just uses the
    budget up, after what was decided so far; and by the action's own factor.

    Raises:
        ValueError: there is no budget, or single weights are pruned.
    """

    name = "residual"
    summary = (
        "as the plan of least error within what is left of the budget has it, times e^(1 - 2a): "
        "0.5 is that plan"
    )

    def __init__(self, allocation: Allocation) -> None:
        super().__init__(allocation)
        who = f"action_mode={self.name!r}"
        allocation.demand_budget(who)
        allocation.demand_errors(who)

    @cached_property
    def _scales(self) -> np.ndarray:
        """Ascending factors of the whole plan, from every unit's least to all channels, 1 within.

        Each moves the plan by a hundredth or so, and 1 is exact.
        """
        plan = np.array(self.allocation.least_error)
        low = min(counts[0] / k for counts, k in zip(self.budget.admissible, plan, strict=True))
        high = max(c / k for c, k in zip(self.budget.channels, plan, strict=True))
        smaller = np.arange(np.log(low), 0, FINENESS)
        larger = np.arange(np.log(high), 0, -FINENESS)[::-1]
        return np.exp([*smaller, 0.0, *larger])

    @cached_property
    def _path(self) -> np.ndarray:
        """The plan at each of the scales, (scales, units) int64; no count ever falls."""
        wanted = self._scales[:, None] * np.array(self.allocation.least_error)
        columns = zip(self.budget.admissible, wanted.T.tolist(), strict=True)
        return np.array([[nearest(counts, k) for k in each] for counts, each in columns]).T

    def _scale(self, executed: Sequence[int]) -> float:
        """Return the largest scale of the units still to come that the budget leaves."""
        t = len(executed)
        fits = bisect_left(
            range(len(self._path)),
            True,
            key=lambda place: not self.budget.admits([*executed, *self._path[place, t:]]),
        )
        return float(self._scales[max(fits - 1, 0)])

    def decide(self, executed: Sequence[int], action: float) -> int:
        """Return the count nearest to the scaled one, at most what the budget leaves."""
        t = len(executed)
        wanted = self.allocation.least_error[t] * self._scale(executed)
        if action != 0.5:
            wanted *= exp(RANGE * (1 - 2 * action))
        count = nearest(self.budget.admissible[t], wanted)
        return count if self.budget.fits(executed, count) else self.budget.cap(executed)

    def action(self, executed: Sequence[int], count: int) -> float:
        """Return the action whose count is nearest: factors beyond the range cannot be reached."""
        wanted = self.allocation.least_error[len(executed)] * self._scale(executed)
        return min(max((1 - log(count / wanted) / RANGE) / 2, 0.0), 1.0)

    def decide_all(self, executed: np.ndarray, actions: list[float]) -> np.ndarray:
        """Each by itself."""
        rows = zip(executed.tolist(), actions, strict=True)
        return np.array([self.decide(row, action) for row, action in rows])


ACTION_MODES: dict[str, type[ActionMode]] = {
    mode.name: mode for mode in (Clamp, Feasible, Residual)
}
"""Name -> action mode."""
