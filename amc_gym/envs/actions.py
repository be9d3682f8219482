"""Actions in [0, 1] and the count that the next unit keeps, within the budget."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from amc_gym.envs.batched_budget import BatchedBudget, Totals
from amc_gym.envs.budget import Budget


class ActionMode(ABC):
    """One meaning of actions.

    Args:
        budget: what may be kept.
        totals: the budget's cost for several plans.

    Attributes:
        name: what the option ``action_mode`` calls it.
        summary: what it executes, in one line.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    def __init__(self, budget: Budget, totals: Totals) -> None:
        self.budget, self._totals = budget, totals

    @cached_property
    def batched(self) -> BatchedBudget:
        """The budget's rules for several episodes at once."""
        return BatchedBudget(self.budget, self._totals)

    @abstractmethod
    def decide(self, executed: Sequence[int], action: float) -> int:
        """The count of the next unit.

        Args:
            executed: counts of the units before.
            action: in [0, 1].
        """

    @abstractmethod
    def action(self, executed: Sequence[int], count: int) -> float:
        """An action that ``decide`` answers with ``count``, which is at most the unit's cap."""

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
        """The sparsity itself."""
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


ACTION_MODES: dict[str, type[ActionMode]] = {mode.name: mode for mode in (Clamp, Feasible)}
"""Name -> action mode."""
