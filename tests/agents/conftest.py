"""An environment to test agents on: its steps are real, its reward is cheap but meaningless."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import pytest

import amc_gym  # noqa: F401  # registers the environments

MakeEnv = Callable[..., gym.Env[Any, Any]]


@pytest.fixture
def make_env() -> MakeEnv:
    """Return a function that makes MobileNet's environment, as cheap as its options allow."""

    def make(**kwargs: Any) -> gym.Env[Any, Any]:
        options = {"weights": "random", "recovery": "none", "reward_images": 32} | kwargs
        return gym.make("AMC-MobileNet-v0", **options)

    return make
