"""An evolution of channel counts, (mu + 1): one small searcher without learning.

Plans drawn around the uniform one are evaluated, the best are parents, and every further plan is a
child of one or two of them that takes its place among the parents if it is better.  Each plan is
scaled to what the budget just allows before it is evaluated, so no evaluation is spent on plans
that break the budget or leave room in it.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from amc_gym.envs.budget import Budget

EVALUATIONS = 600

# Chosen on AMC-MobileNet-v0.
PARENTS = 10
DRAWN = 40  # plans without parents, at most a quarter of the evaluations
SPREAD = 0.5  # deviation of a drawn plan's log shares from the uniform plan's
CROSSED = 0.5  # share of the children that have two parents
MUTATED = 0.3  # share of a child's units that are changed
STEP = 0.12  # deviation of the change, in shares of the unit's channels


class Evolution:
    """The plans so far, and the next one."""

    def __init__(self, budget: Budget, rng: np.random.Generator, drawn: int) -> None:
        self._budget, self._rng, self._drawn = budget, rng, drawn
        self._channels = np.array(budget.channels)
        self._seen: set[tuple[int, ...]] = set()
        self._judged: set[tuple[int, ...]] = set()
        # Ascending by (reward, age): of equal plans the younger is the better parent, which keeps
        # the search moving where rewards, shares of a few hundred images, are often equal.
        self._parents: list[tuple[float, int, tuple[int, ...]]] = []

    def propose(self) -> tuple[int, ...]:
        """Channel counts within the budget, new ones where that is not too hard."""
        counts: tuple[int, ...] = ()
        for _ in range(20):
            counts = self._budget.scaled(self._shares())
            if counts not in self._seen:
                break
        self._seen.add(counts)
        return counts

    def propose_all(self, most: int) -> list[tuple[int, ...]]:
        """Plans that depend on no reward still to come, at most so many: drawn ones, or a child."""
        plans = [self.propose()]
        while len(plans) < most and len(self._seen) < self._drawn:
            plans.append(self.propose())
        return plans

    def accept(self, counts: tuple[int, ...], reward: float) -> bool:
        """Take an evaluated plan in; whether it is the best so far."""
        best = self._parents[-1][0] if self._parents else -np.inf
        if counts not in self._judged:
            self._judged.add(counts)
            insort(self._parents, (reward, len(self._judged), counts))
            del self._parents[:-PARENTS]
        return reward > best

    def _shares(self) -> np.ndarray:
        """Shares of channels in the next plan: the uniform one's, drawn ones, or a child's."""
        if not self._seen:
            return np.ones(len(self._channels))
        return self._draw() if len(self._seen) < self._drawn else self._child()

    def _draw(self) -> np.ndarray:
        """Shares around those of a uniform plan, of any size where there is no budget."""
        size = 1.0 if self._budget.limit is not None else self._rng.random()
        return size * np.exp(SPREAD * self._rng.standard_normal(len(self._channels)))

    def _child(self) -> np.ndarray:
        rng, n = self._rng, len(self._channels)
        counts = self._parent()
        if rng.random() < CROSSED:
            counts = np.where(rng.random(n) < 0.5, counts, self._parent())
        changed = rng.random(n) < MUTATED
        changed[rng.integers(n)] = True
        return counts / self._channels + changed * rng.normal(0, STEP, n)

    def _parent(self) -> np.ndarray:
        return np.array(self._parents[self._rng.integers(len(self._parents))][2])
