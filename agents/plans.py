"""Plans named by their channel counts: whether they fit the budget, and how to execute them.

Everything a rule or a black-box searcher needs that thinks in whole plans, not in steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from amc_gym.envs.amc import AMCEnv


def amc(env: gym.Env[Any, Any]) -> AMCEnv:
    """The environment beneath all wrappers.

    Raises:
        TypeError: it is no AMC environment.
    """
    unwrapped = env.unwrapped
    if not isinstance(unwrapped, AMCEnv):
        raise TypeError(f"this agent needs an AMC environment, not {unwrapped!r}")
    return unwrapped


def steps_per_episode(env: gym.Env[Any, Any]) -> int:
    """T, the number of units: each episode has as many steps."""
    return amc(env).steps_per_episode


def action_for(env: AMCEnv, executed: Sequence[int], count: int) -> np.ndarray:
    """The action that keeps ``count`` channels, or weights, of the next unit, (1,) float64.

    Args:
        env: the environment, in either action mode.
        executed: counts of the units before.
        count: admissible, and at most the unit's cap.
    """
    t, budget = len(executed), env.budget
    if env.action_mode == "clamp":
        sparsity = 1 - count / budget.channels[t]
    else:
        least, cap = budget.admissible[t][0], budget.cap(executed)
        sparsity = (cap - count) / (cap - least) if cap > least else 0.0
    return np.array([sparsity])  # in float32 a layer of millions of weights has no exact ratios


def execute(env: gym.Env[Any, Any], counts: Sequence[int]) -> dict[str, Any]:
    """Evaluate a plan, one episode, and return the last step's info, its reward under "reward".

    Args:
        env: an AMC environment in either action mode.
        counts: admissible channel count of each unit, within the budget.

    Raises:
        ValueError: the plan is over the budget, or a count is not admissible.
    """
    env.reset()
    info: dict[str, Any] = {}
    reward: Any = 0.0
    for t, count in enumerate(counts):
        _, reward, _, _, info = env.step(action_for(amc(env), counts[:t], count))
        kept = info["channels"] if "channels" in info else info["weights"]
        if kept != count:
            raise ValueError(
                f"unit {info['layer']!r} cannot keep {count} within the budget; it kept {kept}"
            )
    return info | {"reward": float(reward)}
