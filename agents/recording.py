"""What an agent found, recorded outside of it: every finished episode counts as one evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from amc_gym import CompressionPlan


@dataclass(frozen=True)
class Episode:
    """One finished plan.

    Attributes:
        reward: final reward.
        accuracy: on the reward images, in [0, 1].
        macs: of the compressed network.
        params: of the compressed network.
        channels: kept channels of each unit; kept weights in weight pruning.
        seconds: since learning began.
    """

    reward: float
    accuracy: float
    macs: int
    params: int
    channels: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class Result:
    """The outcome of one run.

    Attributes:
        agent: the agent's name.
        seed: its seed.
        best: the plan with the highest reward, the earliest of equals.
        history: every finished episode, in order.
        seconds: wall-clock of the whole run.
        environment_seconds: the part of it spent inside the environment.
    """

    agent: str
    seed: int
    best: CompressionPlan
    history: tuple[Episode, ...]
    seconds: float
    environment_seconds: float

    @property
    def best_episode(self) -> Episode:
        """The episode of the best plan."""
        return max(self.history, key=lambda episode: episode.reward)

    @property
    def evaluations(self) -> int:
        """Finished episodes, plans seen before included."""
        return len(self.history)

    @property
    def distinct(self) -> int:
        """Distinct plans among them."""
        return len({episode.channels for episode in self.history})


class Recorder(gym.Wrapper[Any, Any, Any, Any]):
    """Passes everything through and keeps the finished episodes.

    Attributes:
        history: finished episodes since ``start``.
        best: their plan with the highest reward, the earliest of equals.
        seconds: spent inside the environment since ``start``.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.start()

    def start(self, on_episode: Callable[[Episode], None] | None = None) -> None:
        """Begin a new record; ``on_episode`` is called with each finished episode."""
        self.history: list[Episode] = []
        self.best: CompressionPlan | None = None
        self.seconds = 0.0
        self._best_reward = -np.inf
        self._on_episode = on_episode
        self._channels: list[int] = []
        self._began = time.perf_counter()

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self._channels = []
        return super().reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        began = time.perf_counter()
        observation, reward, terminated, truncated, info = super().step(action)
        now = time.perf_counter()
        self.seconds += now - began
        self._channels.append(info["channels"] if "channels" in info else info["weights"])
        if terminated:
            episode = Episode(
                reward=float(reward),
                accuracy=info["accuracy"],
                macs=info["macs"],
                params=info["params"],
                channels=tuple(self._channels),
                seconds=now - self._began,
            )
            self.history.append(episode)
            if episode.reward > self._best_reward:
                self._best_reward = episode.reward
                self.best = CompressionPlan.from_json(info["plan"])
            if self._on_episode is not None:
                self._on_episode(episode)
        return observation, reward, terminated, truncated, info
