"""Learners of a few lines, in a module that worker processes can import."""

from __future__ import annotations

import copy
import os
import time
from pathlib import Path
from typing import Any

import gymnasium as gym

import agents
from agents.random_search import RandomSearch
from amc_gym import CompressionTask
from amc_gym.zoo.resolving import resolve


class Guess(RandomSearch):
    """A learner that draws random ratios."""


agents.register("guess")(Guess)


@agents.register("crash")
class Crash(Guess):
    """A learner that raises an error after its first episode."""

    def learn(self, episodes: int) -> None:
        super().learn(1)
        raise RuntimeError("out of luck")


@agents.register("die")
class Die(Guess):
    """A learner that ends the process at once, as the system does when memory runs out."""

    def learn(self, episodes: int) -> None:
        os._exit(9)


@agents.register("die-late")
class DieLate(Guess):
    """A learner that ends the process after its second episode."""

    def learn(self, episodes: int) -> None:
        super().learn(2)
        os._exit(9)


@agents.register("leave")
class Leave(Guess):
    """A learner that exits with status 0 after its first episode."""

    def learn(self, episodes: int) -> None:
        super().learn(1)
        raise SystemExit(0)


@agents.register("overrun")
class Overrun(Guess):
    """A learner that never stops."""

    def learn(self, episodes: int) -> None:
        while True:
            super().learn(1)


FOLDER = "SMALL_LEARNERS"
"""Environment variable with the folder in which learners leave files for tests to find."""


class Logged(Guess):
    """A learner that leaves a file each time it is started."""

    def __init__(self, env: gym.Env[Any, Any], seed: int) -> None:
        super().__init__(env, seed)
        self.folder = Path(os.environ[FOLDER])
        self.seed = seed
        name = f"{type(self).__name__}-{seed}"
        self.attempt = len(list(self.folder.glob(f"{name}-*"))) + 1
        (self.folder / f"{name}-{self.attempt}").touch()


agents.register("logged")(Logged)


@agents.register("stumble")
class Stumble(Logged):
    """A learner that ends the process half-way when it is started for the first time."""

    def learn(self, episodes: int) -> None:
        if self.attempt == 1:
            super().learn(1)
            os._exit(9)
        super().learn(episodes)


@agents.register("wait")
class Wait(Logged):
    """A learner that waits after its first episode for a file "go", unless it is a second start."""

    def learn(self, episodes: int) -> None:
        super().learn(1)
        (self.folder / f"waiting-{self.seed}").touch()
        while self.attempt == 1 and not (self.folder / "go").exists():
            time.sleep(0.1)
        super().learn(episodes - 1)


def counted_task() -> CompressionTask:
    """Make MobileNet's task with random weights, and leave a file each time."""
    folder = Path(os.environ[FOLDER])
    (folder / f"task-{os.getpid()}-{time.time_ns()}").touch()
    return copy.copy(resolve("MobileNet", weights="random"))  # it is given another source
