"""The package's own search without learning, an evolution of channel counts, as an agent."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from amc_gym.workflows.search import search

from .registry import register


@register("evolution", kind="searcher")
class Evolution:
    """The search of ``amc_gym.search``: children of the ten best plans, scaled to the budget.

    Args:
        env: an AMC environment with ``action_mode="clamp"``.
        seed: of the draws.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int) -> None:
        self.env, self.seed = env, seed

    def learn(self, episodes: int) -> None:
        """Evaluate ``episodes`` plans, the uniform one first."""
        search(self.env, episodes, self.seed, progress=False)
