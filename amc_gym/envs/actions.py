"""From an action in [0, 1] to the number of channels that the next unit keeps within the budget."""

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
    """A rule that turns actions into counts.

    Args:
        allocation: budget of the problem, and plans that need no evaluation.

    Attributes:
        name: value of the option ``action_mode``.
        summary: what an action stands for, in one line.
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
        """Return the count that the next unit keeps.

        Args:
            executed: counts of the units before it.
            action: in [0, 1].
        """

    @abstractmethod
    def action(self, executed: Sequence[int], count: int) -> float:
        """Return the action for which ``decide`` returns ``count``, or the nearest count it can."""

    @abstractmethod
    def decide_all(self, executed: np.ndarray, actions: list[float]) -> np.ndarray:
        """Return the counts of n episodes at one unit: executed (n, t) -> counts (n,) int64."""


class Clamp(ActionMode):
    """Actions are sparsity ratios, clamped by the budget (paper, Algorithm 1)."""

    name = "clamp"
    summary = "the admissible count nearest to (1 - a) C, at most the largest within the budget"

    def decide(self, executed: Sequence[int], action: float) -> int:
        """Return the clamped count, see ``Budget.clamp``."""
        return self.budget.clamp(executed, action)

    def action(self, executed: Sequence[int], count: int) -> float:
        """Return the sparsity ratio of a count."""
        return 1 - count / self.budget.channels[len(executed)]

    def decide_all(self, executed: np.ndarray, actions: list[float]) -> np.ndarray:
        """Return the clamped counts, see ``BatchedBudget.clamp``."""
        return self.batched.clamp(executed, actions)


class Feasible(ActionMode):
    """Actions choose between the largest and the smallest count that are possible."""

    name = "feasible"
    summary = "a from 0 to 1 runs linearly from the largest count within the budget to the smallest"

    def decide(self, executed: Sequence[int], action: float) -> int:
        """Return the count, see ``Budget.feasible``."""
        return self.budget.feasible(executed, action)

    def action(self, executed: Sequence[int], count: int) -> float:
        """Return the position of a count between the unit's cap and its smallest count."""
        least, cap = self.budget.admissible[len(executed)][0], self.budget.cap(executed)
        return (cap - count) / (cap - least) if cap > least else 0.0

    def decide_all(self, executed: np.ndarray, actions: list[float]) -> np.ndarray:
        """Return the counts, see ``BatchedBudget.feasible``."""
        return self.batched.feasible(executed, actions)


RANGE = 1.0
"""Largest absolute log-factor of "residual": from 1 / e times to e times as many channels."""

FINENESS = 0.01
"""Relative step between two neighbouring scales that "residual" tries."""


class Residual(ActionMode):
    """Actions change the plan of least error; 0.5 in every step is that plan.

    A unit's share in that plan is scaled twice: together with all later units by the factor that
    just uses up what is left of the budget, and by the factor of its own action.

    Raises:
        ValueError: there is no budget, or the granularity is "weight".
    """

    name = "residual"
    summary = (
        "as in the plan of least error within the remaining budget, times e^(1 - 2a): 0.5 gives "
        "that plan"
    )

    def __init__(self, allocation: Allocation) -> None:
        super().__init__(allocation)
        who = f"action_mode={self.name!r}"
        allocation.demand_budget(who)
        allocation.demand_errors(who)

    @cached_property
    def _scales(self) -> np.ndarray:
        """Ascending factors of the whole plan, from the smallest network to the full one.

        They move the plan in steps of about one percent, and exactly 1 is among them.
        """
        plan = np.array(self.allocation.least_error)
        low = min(counts[0] / k for counts, k in zip(self.budget.admissible, plan, strict=True))
        high = max(c / k for c, k in zip(self.budget.channels, plan, strict=True))
        smaller = np.arange(np.log(low), 0, FINENESS)
        larger = np.arange(np.log(high), 0, -FINENESS)[::-1]
        return np.exp([*smaller, 0.0, *larger])

    @cached_property
    def _path(self) -> np.ndarray:
        """Plans at each of the scales, (scales, units) int64; counts never decrease."""
        wanted = self._scales[:, None] * np.array(self.allocation.least_error)
        columns = zip(self.budget.admissible, wanted.T.tolist(), strict=True)
        return np.array([[nearest(counts, k) for k in each] for counts, each in columns]).T

    def _scale(self, executed: Sequence[int]) -> float:
        """Return the largest scale of the later units that fits the budget."""
        t = len(executed)
        fits = bisect_left(
            range(len(self._path)),
            True,
            key=lambda place: not self.budget.admits([*executed, *self._path[place, t:]]),
        )
        return float(self._scales[max(fits - 1, 0)])

    def decide(self, executed: Sequence[int], action: float) -> int:
        """Return the count nearest to the scaled one, at most the largest within the budget."""
        t = len(executed)
        wanted = self.allocation.least_error[t] * self._scale(executed)
        if action != 0.5:
            wanted *= exp(RANGE * (1 - 2 * action))
        count = nearest(self.budget.admissible[t], wanted)
        return count if self.budget.fits(executed, count) else self.budget.cap(executed)

    def action(self, executed: Sequence[int], count: int) -> float:
        """Return the action whose count is nearest; factors beyond ``RANGE`` cannot be reached."""
        wanted = self.allocation.least_error[len(executed)] * self._scale(executed)
        return min(max((1 - log(count / wanted) / RANGE) / 2, 0.0), 1.0)

    def decide_all(self, executed: np.ndarray, actions: list[float]) -> np.ndarray:
        """Return the counts, each decided by itself."""
        rows = zip(executed.tolist(), actions, strict=True)
        return np.array([self.decide(row, action) for row, action in rows])


ACTION_MODES: dict[str, type[ActionMode]] = {
    mode.name: mode for mode in (Clamp, Feasible, Residual)
}
"""Name -> action mode."""
