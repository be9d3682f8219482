"""A policy that was learnt elsewhere, from a file: one episode, unit by unit, nothing to learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from safetensors import SafetensorError, safe_open

from .plans import amc

Act = Callable[[np.ndarray], np.ndarray]
"""Observations (n, features) float32 -> actions (n, 1) of the environment, in [0, 1]."""

ABOUT = "policy"
"""Entry of a safetensors file's metadata that says, in JSON, what its tensors are."""

LARGEST = 64 * 2**20
"""Bytes that a policy's file may have."""


@dataclass(frozen=True)
class Trained:
    """Tells what a policy was trained on, and so can be asked about.

    Attributes:
        observation: name of what it sees.
        action_mode: name of what its actions mean.
        features: numbers in an observation.
    """

    observation: str
    action_mode: str
    features: int

    def check(self, env: gym.Env[Any, Any]) -> None:
        """See whether an environment is alike.

        Raises:
            ValueError: it is another one; the message says how it has to be made.
        """
        given, space = amc(env).given, env.observation_space
        alike = isinstance(space, spaces.Box) and space.shape == (self.features,)
        if (given.observation, given.action_mode) != (self.observation, self.action_mode):
            raise ValueError(
                f"the policy was trained with observation={self.observation!r} and "
                f"action_mode={self.action_mode!r}: make the environment with both, not with "
                f"{given.observation!r} and {given.action_mode!r}"
            )
        if not alike:
            raise ValueError(
                f"the policy sees {self.features} numbers, and the environment shows {space}: it "
                "was trained with another version"
            )


class StepPolicy(ABC):
    """Plays one episode by the function from observations to actions that a file holds.

    Args:
        env: an AMC environment like the one that it was trained on.
        seed: of nothing.
        weights: the file.

    Raises:
        ValueError: the environment is another one.
        OSError: the file cannot be read, or holds something else.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int, *, weights: str | Path) -> None:
        self.act, trained = self.read(Path(weights))
        trained.check(env)
        self.env = env

    @staticmethod
    @abstractmethod
    def read(path: Path, /) -> tuple[Act, Trained]:
        """Read a file.

        Raises:
            OSError: it cannot be read, or holds something else.
        """

    @staticmethod
    def hyperparameter_files(*, weights: str | Path, **_: Any) -> list[Path]:
        """Return the file: with another it is another agent."""
        return [Path(weights)]

    def learn(self, episodes: int) -> None:
        """Play one episode: with more there is nothing to gain, since it would be the same."""
        observation, _ = self.env.reset()
        over = False
        while not over:
            (action,) = self.act(observation[np.newaxis])
            observation, _, over, _, _ = self.env.step(action)


def about(path: Path) -> str | None:
    """Return what a safetensors file's metadata says of its policy; ``None``: nothing.

    Raises:
        OSError: it is missing, or no such file.
    """
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get(ABOUT)
    except SafetensorError as error:
        raise OSError(f"{path} is no file of a policy's weights: {error}") from error
