"""Learners of a few lines; a module of its own, because workers import it."""

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
    """Random ratios."""


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


@agents.register("die-late")
class DieLate(Guess):
    """Ends the process after its second episode."""

    def learn(self, episodes: int) -> None:
        super().learn(2)
        os._exit(9)


@agents.register("leave")
class Leave(Guess):
    """Exits as scripts do, and as if all were well."""

    def learn(self, episodes: int) -> None:
        super().learn(1)
        raise SystemExit(0)


@agents.register("overrun")
class Overrun(Guess):
    """Goes on for ever."""

    def learn(self, episodes: int) -> None:
        while True:
            super().learn(1)


FOLDER = "SMALL_LEARNERS"
"""Variable with the folder through which tests and the learners below hear of each other."""


class Logged(Guess):
    """Leaves a file for each time that it was begun."""

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
    """Dies once, half-way."""

    def learn(self, episodes: int) -> None:
        if self.attempt == 1:
            super().learn(1)
            os._exit(9)
        super().learn(episodes)


@agents.register("wait")
class Wait(Logged):
    """Waits for a file named "go" after its first episode; the second time it is begun it goes."""

    def learn(self, episodes: int) -> None:
        super().learn(1)
        (self.folder / f"waiting-{self.seed}").touch()
        while self.attempt == 1 and not (self.folder / "go").exists():
            time.sleep(0.1)
        super().learn(episodes - 1)


def counted_task() -> CompressionTask:
    """MobileNet with random weights; leaves a file for each time that it was made."""
    folder = Path(os.environ[FOLDER])
    (folder / f"task-{os.getpid()}-{time.time_ns()}").touch()
    return copy.copy(resolve("MobileNet", weights="random"))  # it is given another source
