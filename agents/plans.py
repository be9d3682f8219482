"""Plans named by their channel counts: what agents need that think in whole plans, not in steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym

from amc_gym.envs.compression_env import CompressionEnv


def amc(env: gym.Env[Any, Any]) -> CompressionEnv:
    """Return the environment beneath all wrappers.

    Raises:
        TypeError: it is no AMC environment.
    """
    unwrapped = env.unwrapped
    if not isinstance(unwrapped, CompressionEnv):
        raise TypeError(f"this agent needs an AMC environment, not {unwrapped!r}")
    return unwrapped


def steps_per_episode(env: gym.Env[Any, Any]) -> int:
    """T, the number of units: each episode has as many steps."""
    return amc(env).steps_per_episode


def execute(env: gym.Env[Any, Any], counts: Sequence[int]) -> tuple[float, dict[str, Any]]:
    """Evaluate a plan, one episode, in view of all wrappers: its reward and last info.

    Args:
        env: an AMC environment, wrapped or not.
        counts: admissible count of each unit, within the budget.

    Raises:
        TypeError: it is no AMC environment.
        ValueError: as ``CompressionEnv.execute``.
    """
    return amc(env).execute(counts, through=env)
