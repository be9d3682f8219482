"""One small searcher without learning, so that the wheel alone can compress a network.

An evolution of channel counts, (mu + 1): plans drawn around the uniform one are evaluated, the
best are parents, and every further plan is a child of one or two of them that takes its place
among the parents if it is better.  Each plan is scaled to what the budget just allows before it is
evaluated, so no evaluation is spent on plans that break the budget or leave room in it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from amc_gym._utils.arguments import described, function, truth, whole
from amc_gym._utils.progress import counter
from amc_gym.compression.plan import CompressionPlan
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.budget import Budget
from amc_gym.envs.factory import make_env
from amc_gym.zoo.resolving import TaskLike

EVALUATIONS = 600

# Chosen on AMC-MobileNet-v0.
PARENTS = 10
DRAWN = 40  # plans without parents, at most a quarter of the evaluations
SPREAD = 0.5  # deviation of a drawn plan's log shares from the uniform plan's
CROSSED = 0.5  # share of the children that have two parents
MUTATED = 0.3  # share of a child's units that are changed
STEP = 0.12  # deviation of the change, in shares of the unit's channels

Found = Callable[[CompressionPlan], None]
"""Callback for each plan that is better than those before it."""


def search(
    env: gym.Env[Any, Any] | TaskLike,
    evaluations: int = EVALUATIONS,
    seed: int = 0,
    *,
    progress: bool = True,
    found: Found | None = None,
) -> CompressionPlan:
    """Return the plan of highest reward among ``evaluations`` plans.

    The uniform plan is evaluated first, so the outcome is never worse.  The same seed gives the
    same plan.

    Args:
        env: an AMC environment with ``action_mode="clamp"``, wrapped or not, constrained or
            not; or a task, for an environment with the task's defaults.
        evaluations: episodes to spend, at least 1.
        seed: of the draws.
        progress: whether there is a progress bar, on stderr.
        found: told of each improvement, so that what was found survives an interruption.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: no evaluations, or an environment that is not an AMC environment in clamp mode.
    """
    evaluations = whole("evaluations", evaluations, at_least=1)
    seed = whole("seed", seed, at_least=0)
    progress = truth("progress", progress)
    if found is not None:
        function("found", found, "a plan")
    if isinstance(env, gym.vector.VectorEnv):
        raise TypeError("env must be a single environment: gym.make(...), not gym.make_vec(...)")
    if not isinstance(env, gym.Env):
        env = make_env(env)
    amc = env.unwrapped
    if not isinstance(amc, AMCEnv):
        raise ValueError(
            f"env: search needs an AMC environment of one network, not {described(amc)}"
        )
    if amc.action_mode != "clamp":
        raise ValueError("search needs an environment with action_mode='clamp'")

    evolution = _Evolution(amc.budget, np.random.default_rng(seed), min(DRAWN, evaluations // 4))
    best: CompressionPlan | None = None
    with counter(shown=progress) as bar:
        shown = bar.add_task("searching", total=evaluations)
        for _ in range(evaluations):
            counts = evolution.propose()
            reward, _ = amc.execute(counts, through=env)
            if evolution.accept(counts, reward):
                best = amc.plan
                if found is not None:
                    found(best)
                measured = f"{best.score_name} {best.measured.score:.2%}"
                bar.update(shown, description=f"reward {reward:.4f}, {measured}")
            bar.advance(shown)
    assert best is not None
    return best


class _Evolution:
    """The plans so far, and the next one."""

    def __init__(self, budget: Budget, rng: np.random.Generator, drawn: int) -> None:
        self._budget, self._rng, self._drawn = budget, rng, drawn
        self._channels = np.array(budget.channels)
        self._seen: set[tuple[int, ...]] = set()
        # Ascending by (reward, age): of equal plans the younger is the better parent, which keeps
        # the search moving where rewards, shares of a few hundred images, are often equal.
        self._parents: list[tuple[float, int, tuple[int, ...]]] = []

    def propose(self) -> tuple[int, ...]:
        """Channel counts within the budget, new ones where that is not too hard."""
        if not self._seen:
            return self._budget.scaled(np.ones(len(self._channels)))
        counts: tuple[int, ...] = ()
        for _ in range(20):
            shares = self._draw() if len(self._seen) < self._drawn else self._child()
            counts = self._budget.scaled(shares)
            if counts not in self._seen:
                break
        return counts

    def accept(self, counts: tuple[int, ...], reward: float) -> bool:
        """Take an evaluated plan in; whether it is the best so far."""
        best = self._parents[-1][0] if self._parents else -np.inf
        if counts not in self._seen:
            self._seen.add(counts)
            insort(self._parents, (reward, len(self._seen), counts))
            del self._parents[:-PARENTS]
        return reward > best

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
