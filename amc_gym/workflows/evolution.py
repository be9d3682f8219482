"""An evolution strategy on channel counts, (mu + 1): a small searcher without learning.

Plans drawn around the uniform plan are evaluated, and the best become parents.  Each further plan
is a child of one or two parents and joins them if it is better.  Before it is evaluated, a plan is
scaled to use the budget up, so that no evaluation is spent on plans that exceed it or leave room.
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
DRAWN = 40  # plans drawn without parents, at most a quarter of the evaluations
SPREAD = 0.5  # standard deviation of a drawn plan's log shares around the uniform plan's
CROSSED = 0.5  # share of children with two parents
MUTATED = 0.3  # share of a child's units that change
STEP = 0.12  # standard deviation of the change, in shares of the unit's channels


class Evolution:
    """A search: the plans evaluated so far, and the next one."""

    def __init__(self, budget: Budget, rng: np.random.Generator, drawn: int) -> None:
        self._budget, self._rng, self._drawn = budget, rng, drawn
        self._channels = np.array(budget.channels)
        self._seen: set[tuple[int, ...]] = set()
        self._judged: set[tuple[int, ...]] = set()
        # Ascending by (reward, age).  Of equal plans the newer is the better parent, which keeps
        # the search moving: rewards are shares of a few hundred images and are often equal.
        self._parents: list[tuple[float, int, tuple[int, ...]]] = []

    def propose(self) -> tuple[int, ...]:
        """Return channel counts within the budget, new ones if they can be found quickly."""
        counts: tuple[int, ...] = ()
        for _ in range(20):
            counts = self._budget.scaled(self._shares())
            if counts not in self._seen:
                break
        self._seen.add(counts)
        return counts

    def propose_all(self, most: int) -> list[tuple[int, ...]]:
        """Return at most ``most`` plans that depend on no reward still to come."""
        plans = [self.propose()]
        while len(plans) < most and len(self._seen) < self._drawn:
            plans.append(self.propose())
        return plans

    def accept(self, counts: tuple[int, ...], reward: float) -> bool:
        """Take in an evaluated plan, and return whether it is the best so far."""
        best = self._parents[-1][0] if self._parents else -np.inf
        if counts not in self._judged:
            self._judged.add(counts)
            insort(self._parents, (reward, len(self._judged), counts))
            del self._parents[:-PARENTS]
        return reward > best

    def _shares(self) -> np.ndarray:
        """Return the next plan's shares of channels: uniform, drawn, or those of a child."""
        if not self._seen:
            return np.ones(len(self._channels))
        return self._draw() if len(self._seen) < self._drawn else self._child()

    def _draw(self) -> np.ndarray:
        """Draw shares around a uniform plan's, of any size if there is no budget."""
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
