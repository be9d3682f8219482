"""One table of agents: a name, and how to make the learner of that name on an environment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import gymnasium as gym

from agents import sources
from agents.recording import BudgetSpent, Episode, Recorder, Result
from amc_gym._utils.names import choose


class Learner(Protocol):
    """Anything that can spend a number of evaluations on the environment it was made with."""

    def learn(self, episodes: int) -> object:
        """Finish at least one episode, and spend at most ``episodes`` evaluations.

        An episode is an evaluation; what is returned is ignored.
        """
        ...


Factory = Callable[..., Learner]
"""(environment, seed, keyword arguments of its own) -> learner."""

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

    def __init__(self, name: str, env: gym.Env[Any, Any], seed: int, **arguments: Any) -> None:
        self.name = name
        self.seed = seed
        self.recorder = Recorder(env)
        self.learner = FACTORIES[name](self.recorder, seed, **arguments)

    def learn(
        self,
        episodes: int,
        on_episode: Callable[[Episode], None] | None = None,
        on_evaluation: Callable[[int], None] | None = None,
    ) -> Result:
        """Learn for at most ``episodes`` evaluations and report what was found.

        A learner that goes on after them is stopped: what it found within the budget stays.

        Args:
            episodes: budget of evaluations; rules that need fewer use fewer.
            on_episode: called with each finished episode.
            on_evaluation: called after each evaluation with how many there were.

        Raises:
            ValueError: ``episodes`` below 1.
            RuntimeError: the learner finished no episode.
        """
        if episodes < 1:
            raise ValueError(f"episodes must be at least 1, not {episodes}")
        self.recorder.start(on_episode, on_evaluation, budget=episodes)
        began = time.perf_counter()
        stopped = False
        try:
            self.learner.learn(episodes)
        except BudgetSpent:
            stopped = True
        seconds = time.perf_counter() - began
        if not self.recorder.history:
            raise RuntimeError(
                f"agent {self.name!r} finished 0 episodes and spent "
                f"{self.recorder.evaluations} evaluations of a budget of {episodes}"
            )
        return self.recorder.result(self.name, self.seed, seconds, stopped=stopped)


def make(name: str, env: gym.Env[Any, Any], seed: int, **arguments: Any) -> Agent:
    """The agent of that name on ``env``.

    Args:
        name: of a registered agent.
        env: what it learns on.
        seed: of everything that it draws.
        arguments: keyword arguments of the agent's own, such as hyper-parameters.

    Raises:
        ValueError: an unknown name, with the near match.
        TypeError: the agent takes no such argument.
    """
    choose("agent", name, FACTORIES)
    return Agent(name, env, seed, **arguments)


def fingerprint(name: str, **arguments: Any) -> str:
    """Sixteen hexadecimal digits that change with the agent's code and hyper-parameter files.

    Args:
        name: of a registered agent.
        arguments: keyword arguments that it will be made with; they are not hashed, but may name
            files that are.

    Raises:
        ValueError: an unknown name, with the near match.
        OSError: a file that the agent says it reads cannot be read.
    """
    choose("agent", name, FACTORIES)
    return sources.fingerprint(FACTORIES[name], arguments)
