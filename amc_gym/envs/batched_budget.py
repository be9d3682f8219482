"""Budget rules for several plans at once, one per row; see `Budget`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from amc_gym.envs.budget import HALVINGS, LEAST_SHARE, Budget

Totals = Callable[[np.ndarray], np.ndarray]
"""Function: plans (n, units) -> costs of the whole networks (n,), int64; see `Cost.totals`."""


class BatchedBudget:
    """`Budget.clamp` and `Budget.feasible` for n episodes, `Budget.scaled` for n plans.

    Most of the time goes into the costs of whole networks, and n of them take hardly longer than
    one.  ``executed`` is always (n, t) int64: the counts before unit t, within the budget.

    Args:
        budget: the rules of one episode.
        totals: ``budget``'s cost for several plans.
    """

    def __init__(self, budget: Budget, totals: Totals) -> None:
        self._budget = budget
        self._totals = totals
        self._least = np.array([counts[0] for counts in budget.admissible])

    def cap(self, executed: np.ndarray) -> np.ndarray:
        """Return cap_t of each episode, (n,) int64."""
        t = executed.shape[1]
        choices, limit = self._budget.admissible[t], self._budget.limit
        found = np.full(len(executed), 0 if limit is not None else len(choices) - 1)
        if limit is not None:
            # Binary search in steps of halving length, for all rows at once.  The smallest choice
            # fits, or else an earlier unit would have exceeded its cap.
            plans, last = self._smallest(executed), len(choices) - 1
            for power in reversed(range(last.bit_length())):
                probed = np.minimum(found + 2**power, last)
                plans[:, t] = _choose(choices, probed)
                found = np.where(self._totals(plans) <= limit, probed, found)
        return _choose(choices, found)

    def clamp(self, executed: np.ndarray, sparsities: list[float]) -> np.ndarray:
        """Return `Budget.clamp` of each episode, (n,) int64."""
        t = executed.shape[1]
        counts = np.array([self._budget.wanted(t, sparsity) for sparsity in sparsities])
        if self._budget.limit is not None:
            plans = self._smallest(executed)
            plans[:, t] = counts
            over = self._totals(plans) > self._budget.limit
            if over.any():
                counts[over] = self.cap(executed[over])
        return counts

    def feasible(self, executed: np.ndarray, actions: list[float]) -> np.ndarray:
        """Return `Budget.feasible` of each episode, (n,) int64."""
        t, caps = executed.shape[1], self.cap(executed).tolist()
        pairs = zip(caps, actions, strict=True)
        return np.array([self._budget.between(t, cap, action) for cap, action in pairs])

    def scaled(self, shares: np.ndarray) -> np.ndarray:
        """Return `Budget.scaled` of each row, (n, units) -> counts (n, units) int64."""
        budget, at_least = self._budget, np.maximum(shares, LEAST_SHARE)
        if budget.limit is None:
            return self._nearest(at_least, np.ones(len(shares)))
        low, high = np.zeros(len(shares)), 1 / at_least.min(1)
        whole = self._totals(self._nearest(at_least, high)) <= budget.limit
        low[whole] = high[whole]
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            fits = self._totals(self._nearest(at_least, middle)) <= budget.limit
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        return self._nearest(at_least, low)

    def _nearest(self, shares: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return the admissible counts nearest to multiples of shares; ties go to the larger."""
        wanted = times[:, None] * shares * np.array(self._budget.channels)
        counts = np.empty(wanted.shape, dtype=np.int64)
        for unit, choices in enumerate(self._choices):
            right = np.searchsorted(choices, wanted[:, unit])
            below = choices[np.maximum(right - 1, 0)]
            above = choices[np.minimum(right, len(choices) - 1)]
            nearer = above - wanted[:, unit] <= wanted[:, unit] - below
            counts[:, unit] = np.where(nearer, above, below)
        return counts

    @cached_property
    def _choices(self) -> list[np.ndarray]:
        return [np.array(counts) for counts in self._budget.admissible]

    def _smallest(self, executed: np.ndarray) -> np.ndarray:
        """Return the executed counts and the smallest ones of later units, (n, units)."""
        n, t = executed.shape
        plans = np.empty((n, len(self._least)), dtype=np.int64)
        plans[:, :t] = executed
        plans[:, t:] = self._least[t:]
        return plans


def _choose(choices: Sequence[int], indices: np.ndarray) -> np.ndarray:
    # Not stacked: a layer may have millions of choices, which stay a range.
    return np.array([choices[index] for index in indices.tolist()])
