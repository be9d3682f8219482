"""Learners of a few lines; a module of its own, because workers import it."""

from __future__ import annotations

import os
from typing import Any

import gymnasium as gym
import numpy as np

import agents


class Guess:
    """Random ratios."""

    def __init__(self, env: gym.Env[Any, Any], seed: int) -> None:
        self.env = env
        self.rng = np.random.default_rng(seed)

    def learn(self, episodes: int) -> None:
        for _ in range(episodes):
            self.env.reset()
            terminated = False
            while not terminated:
                action = self.rng.random(1).astype(np.float32)
                _, _, terminated, _, _ = self.env.step(action)


agents.register("guess")(Guess)


@agents.register("crash")
class Crash(Guess):
    """Fails in its second episode, as code does."""

    def learn(self, episodes: int) -> None:
        super().learn(1)
        raise RuntimeError("out of luck")


@agents.register("die")
class Die(Guess):
    """Ends the process, as a lack of memory does."""

    def learn(self, episodes: int) -> None:
        os._exit(9)
