"""Plans given by channel counts, for agents that work with whole plans rather than steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym

from amc_gym.envs.compression_env import CompressionEnv


def amc(env: gym.Env[Any, Any]) -> CompressionEnv:
    """Return the environment beneath all wrappers.

    Raises:
        TypeError: it is not an AMC environment.
    """
    unwrapped = env.unwrapped
    if not isinstance(unwrapped, CompressionEnv):
        raise TypeError(f"this agent needs an AMC environment, not {unwrapped!r}")
    return unwrapped


def steps_per_episode(env: gym.Env[Any, Any]) -> int:
    """Return T, the number of units, which is the number of steps of an episode."""
    return amc(env).steps_per_episode


def execute(env: gym.Env[Any, Any], counts: Sequence[int]) -> tuple[float, dict[str, Any]]:
    """Evaluate a plan in one episode that all wrappers see; return its reward and last info.

    Args:
        env: an AMC environment, wrapped or not.
        counts: admissible count of each unit, within the budget.

    Raises:
        TypeError: it is not an AMC environment.
        ValueError: as ``CompressionEnv.execute``.
    """
    return amc(env).execute(counts, through=env)
