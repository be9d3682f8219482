"""An environment that measures the time spent in it, so that the rest is its agent's."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from benchmarks.speed.timing import clock


class Clocked(gym.Wrapper[Any, Any, Any, Any]):
    """Wrapper that sums up the seconds spent in the environment, by ``timing.clock``."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.seconds = 0.0
        self._now = clock()

    def reset(self, **kwargs: Any) -> Any:
        """Reset the environment, timed."""
        began = self._now()
        start = super().reset(**kwargs)
        self.seconds += self._now() - began
        return start

    def step(self, action: Any) -> Any:
        """Take a step in the environment, timed."""
        began = self._now()
        outcome = super().step(action)
        self.seconds += self._now() - began
        return outcome
