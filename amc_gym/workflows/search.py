"""A search without learning, with which the installed package alone can compress a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np

from amc_gym._utils.arguments import described, function, truth, whole
from amc_gym._utils.progress import counter
from amc_gym.compression.plan import CompressionPlan
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.batched_evaluation import evaluated_ahead
from amc_gym.envs.factory import make_env
from amc_gym.workflows.evolution import DRAWN, EVALUATIONS, Evolution
from amc_gym.zoo.resolving import TaskLike

Found = Callable[[CompressionPlan], None]
"""Callback that receives each plan that is better than all before it."""


def search(
    env: gym.Env[Any, Any] | TaskLike,
    evaluations: int = EVALUATIONS,
    seed: int = 0,
    *,
    progress: bool = True,
    found: Found | None = None,
) -> CompressionPlan:
    """Return the plan of highest reward among ``evaluations`` plans.

    The uniform plan is evaluated first, so the result is never worse than it.  The same seed gives
    the same plan.

    Args:
        env: an AMC environment with ``action_mode="clamp"``, wrapped or not, with or without a
            budget; or a task, for an environment with the task's defaults.
        evaluations: episodes to spend, at least 1.
        seed: of the random draws.
        progress: whether to show a progress bar, on stderr.
        found: called with each improvement, so that it can be saved before an interruption.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: ``evaluations`` is below 1, or ``env`` is not an AMC environment in clamp mode.
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
        raise ValueError("search needs clamp mode: make the environment with action_mode='clamp'")

    evolution = Evolution(amc.budget, np.random.default_rng(seed), min(DRAWN, evaluations // 4))
    best: CompressionPlan | None = None
    with counter(shown=progress) as bar:
        shown = bar.add_task("searching", total=evaluations)
        for counts in _proposed(evolution, env, evaluations):
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


def _proposed(
    evolution: Evolution, env: gym.Env[Any, Any], evaluations: int
) -> Iterator[tuple[int, ...]]:
    """Yield ``evaluations`` plans, each to be evaluated before the next one is asked for."""
    while evaluations:
        plans = evolution.propose_all(evaluations)
        yield from evaluated_ahead(env, plans)
        evaluations -= len(plans)
