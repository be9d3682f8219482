"""The base class of policies that are loaded from a file and play one episode."""

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
"""Function: observations (n, features) float32 -> actions (n, 1) in [0, 1]."""

ABOUT = "policy"
"""Entry of a safetensors file's metadata that describes its tensors, in JSON."""

LARGEST = 64 * 2**20
"""Most bytes of a policy file."""


@dataclass(frozen=True)
class Trained:
    """Setting that a policy was trained in, which is the one it can be used in.

    Attributes:
        observation: name of its observation.
        action_mode: name of its action mode.
        features: numbers in an observation.
    """

    observation: str
    action_mode: str
    features: int

    def check(self, env: gym.Env[Any, Any]) -> None:
        """Refuse an environment that differs from the training.

        Raises:
            ValueError: it differs; the message says how to make it.
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
                f"the policy expects {self.features} numbers, and the environment shows {space}: "
                "it was trained with another version, so train it again"
            )


class StepPolicy(ABC):
    """An agent that plays one episode by a function from observations to actions, from a file.

    Args:
        env: an AMC environment like the one in training.
        seed: has no effect.
        weights: the file.

    Raises:
        ValueError: the environment differs from the one in training.
        OSError: the file cannot be read, or holds anything else.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int, *, weights: str | Path) -> None:
        self.act, trained = self.read(Path(weights))
        trained.check(env)
        self.env = env

    @staticmethod
    @abstractmethod
    def read(path: Path, /) -> tuple[Act, Trained]:
        """Read a policy file.

        Raises:
            OSError: it cannot be read, or holds anything else.
        """

    @staticmethod
    def hyperparameter_files(*, weights: str | Path, **_: Any) -> list[Path]:
        """Return the file: with another file it is another agent."""
        return [Path(weights)]

    def learn(self, episodes: int) -> None:
        """Play one episode; further episodes would be the same."""
        observation, _ = self.env.reset()
        over = False
        while not over:
            (action,) = self.act(observation[np.newaxis])
            observation, _, over, _, _ = self.env.step(action)


def about(path: Path) -> str | None:
    """Return a policy's description from a safetensors file's metadata; ``None`` if it has none.

    Raises:
        OSError: it is missing, or is not such a file.
    """
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get(ABOUT)
    except SafetensorError as error:
        raise OSError(f"{path} is not a file of a policy's weights: {error}") from error
