"""One table of agents: a name, and how to make the learner of that name on an environment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import gymnasium as gym

from agents.recording import Episode, Recorder, Result
from amc_gym.names import choose


class Learner(Protocol):
    """Anything that can spend a number of evaluations on the environment it was made with."""

    def learn(self, episodes: int) -> object:
        """Finish at least one episode, and spend at most ``episodes`` evaluations.

        An episode is an evaluation; what is returned is ignored.
        """
        ...


Factory = Callable[[gym.Env[Any, Any], int], Learner]
"""(environment, seed) -> learner."""

FACTORIES: dict[str, Factory] = {}


F = TypeVar("F", bound=Factory)


def register(name: str) -> Callable[[F], F]:
    """Decorator ``@agents.register("mine")`` of a function or class (environment, seed) -> learner.

    Raises:
        ValueError: the name is taken.
    """

    def add(factory: F) -> F:
        if name in FACTORIES:
            raise ValueError(f"an agent named {name!r} is registered already")
        FACTORIES[name] = factory
        return factory

    return add


class Agent:
    """A learner whose episodes are counted and recorded; made by ``make``."""

    def __init__(self, name: str, env: gym.Env[Any, Any], seed: int) -> None:
        self.name = name
        self.seed = seed
        self.recorder = Recorder(env)
        self.learner = FACTORIES[name](self.recorder, seed)

    def learn(
        self,
        episodes: int,
        on_episode: Callable[[Episode], None] | None = None,
        on_evaluation: Callable[[int], None] | None = None,
    ) -> Result:
        """Learn for at most ``episodes`` evaluations and report what was found.

        Args:
            episodes: budget of evaluations; rules that need fewer use fewer.
            on_episode: called with each finished episode.
            on_evaluation: called after each evaluation with how many there were.

        Raises:
            ValueError: ``episodes`` below 1.
            RuntimeError: the learner finished no episode, or spent more than its budget.
        """
        if episodes < 1:
            raise ValueError(f"episodes must be at least 1, not {episodes}")
        self.recorder.start(on_episode, on_evaluation)
        began = time.perf_counter()
        self.learner.learn(episodes)
        seconds = time.perf_counter() - began
        recorder = self.recorder
        if recorder.best is None or recorder.evaluations > episodes:
            raise RuntimeError(
                f"agent {self.name!r} finished {len(recorder.history)} episodes and spent "
                f"{recorder.evaluations} evaluations of a budget of {episodes}"
            )
        return Result(
            self.name,
            self.seed,
            recorder.best,
            tuple(recorder.history),
            recorder.evaluations,
            len(recorder.plans),
            seconds,
            recorder.seconds,
        )


def make(name: str, env: gym.Env[Any, Any], seed: int) -> Agent:
    """The agent of that name on ``env``.

    Raises:
        ValueError: an unknown name, with the near match.
    """
    choose("agent", name, FACTORIES)
    return Agent(name, env, seed)
