"""Random search: independent uniform actions.  Agents should beat it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from .registry import register


@register("random", kind="searcher")
class RandomSearch:
    """An agent that draws every action from U[0, 1].

    Args:
        env: any environment with a Box(0, 1, (1,)) action.
        seed: of the draws.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int) -> None:
        self.env = env
        self.rng = np.random.default_rng(seed)

    def learn(self, episodes: int) -> None:
        """Finish ``episodes`` random episodes."""
        for _ in range(episodes):
            self.env.reset()
            over = False
            while not over:
                _, _, over, _, _ = self.env.step(self.rng.random(1, dtype=np.float32))
