"""The registry of agents: names, factories of learners, and facts about them."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, get_args

import gymnasium as gym

from amc_gym._utils.arguments import truth
from amc_gym._utils.names import choose

from . import sources
from .plans import amc, execute
from .recording import BudgetSpent, Episode, Recorder, Result


class Learner(Protocol):
    """Anything that can spend a number of evaluations on the environment it was made with."""

    def learn(self, episodes: int) -> object:
        """Finish at least one episode, and spend at most ``episodes`` evaluations.

        An episode is an evaluation; the return value is ignored.  A learner may also have a method
        ``diagnostics``, see ``Agent.diagnostics``.
        """
        ...


Factory = Callable[..., Learner]
"""Function (environment, seed, its own keyword arguments) -> learner."""

Kind = Literal["rule", "searcher", "learner", "policy"]
"""Kind of an agent.

* A rule defines one family of networks, from which the budget selects one: it evaluates that plan
  and is done.
* A searcher proposes whole plans, and learns nothing that helps on another network.
* A learner learns a policy, which decides unit by unit.
* A policy was learned earlier, on other networks, and is loaded from its argument ``weights``.
"""

GROUPS: dict[str, Kind] = {f"{kind}s": kind for kind in get_args(Kind) if kind != "policy"}
"""Names that stand for all agents of a kind: "rules", "searchers", "learners"."""


@dataclass(frozen=True)
class Registered:
    """A registered factory; calling it makes a learner.

    Attributes:
        name: of its agents.
        factory: the registered factory.
        kind: kind of its agents.
        deterministic: whether they do the same with every seed, so that one run is enough.
        needs: modules that must be installed to make one, beyond what ``amc_gym`` needs.
    """

    name: str
    factory: Factory
    kind: Kind
    deterministic: bool
    needs: tuple[str, ...]

    def __call__(self, env: gym.Env[Any, Any], seed: int, **arguments: Any) -> Learner:
        """Make the learner.

        Raises:
            ImportError: a module that it needs is missing; the message names what to install.
            TypeError: it has no such argument.
        """
        for module in self.needs:
            try:
                importlib.import_module(module)
            except ImportError as error:
                raise ImportError(
                    f"agent {self.name!r} needs {error.name}: pip install 'amc-gym[agents]' "
                    f"(from a checkout: pip install -e '.[agents]')"
                ) from error
        return self.factory(env, seed, **arguments)


FACTORIES: dict[str, Registered] = {}


F = TypeVar("F", bound=Factory)


def register(
    name: str,
    *,
    kind: Kind = "learner",
    deterministic: bool | None = None,
    needs: Iterable[str] = (),
) -> Callable[[F], F]:
    """Register an agent: decorator of a function or class (environment, seed) -> learner.

    Args:
        name: its name.
        kind: "rule", "searcher", "learner" or "policy".
        deterministic: whether it does the same with every seed, and so runs once; None: only
            rules.
        needs: modules that must be installed to make one, such as "optuna".

    Raises:
        ValueError: the name is taken, or there is no such kind.
    """
    choose("kind of agent", kind, get_args(Kind))
    always = kind == "rule" if deterministic is None else deterministic
    needed = (needs,) if isinstance(needs, str) else tuple(needs)

    def add(factory: F) -> F:
        if name in FACTORIES:
            raise ValueError(f"an agent named {name!r} is registered already: choose another name")
        if name in GROUPS:
            raise ValueError(f"{name!r} is the name of a kind of agents: choose another")
        FACTORIES[name] = Registered(name, factory, kind, always, needed)
        return factory

    return add


def kind_of(name: str) -> Kind | None:
    """Return the kind of an agent; None for one that is not registered."""
    return FACTORIES[name].kind if name in FACTORIES else None


def is_deterministic(name: str) -> bool:
    """Return whether an agent is known to do the same with every seed."""
    return name in FACTORIES and FACTORIES[name].deterministic


def named(words: Iterable[str]) -> list[str]:
    """Return the names of the agents that words stand for, each once, in order.

    Args:
        words: names of registered agents; "rules", "searchers" or "learners" for all of a kind;
            or "package.module:attribute" for a user's class or function, whose module is imported
            and may register it.  One that is not registered becomes a learner named by that word.

    Raises:
        ValueError: a name is unknown, or an attribute makes no agent.
        ImportError: a module cannot be imported.
    """
    names: list[str] = []
    for word in words:
        if word in GROUPS:
            names += [name for name, each in FACTORIES.items() if each.kind == GROUPS[word]]
        elif word not in FACTORIES and ":" in word:
            names.append(_imported(word))
        else:
            names.append(choose("agent", word, {**FACTORIES, **GROUPS}))
    return list(dict.fromkeys(names))


def _imported(word: str) -> str:
    """Register "package.module:attribute" if necessary, and return the name of the agent."""
    module, _, attribute = word.partition(":")
    factory: Factory | None = getattr(importlib.import_module(module), attribute, None)
    if not callable(factory):
        raise ValueError(f"agent {word!r}: {module} has no class or function {attribute!r}")
    for name, each in FACTORIES.items():
        if each.factory is factory:
            return name
    register(word)(factory)
    return word


class Agent:
    """A learner whose episodes are counted and recorded; made by ``make``.

    Args:
        name: of a registered agent.
        env: environment to learn on.
        seed: of everything that it draws.
        uniform_first: whether to evaluate the uniform plan first, unknown to the learner, so that
            no search ends below it.  Results with and without it are kept apart, as with all
            arguments.
        arguments: further keyword arguments of the agent.

    Raises:
        TypeError: the agent has no such argument.
        ValueError: there is no budget for the uniform plan to meet.
    """

    def __init__(
        self,
        name: str,
        env: gym.Env[Any, Any],
        seed: int,
        *,
        uniform_first: bool = False,
        **arguments: Any,
    ) -> None:
        self.name = name
        self.seed = seed
        self.uniform_first = truth("uniform_first", uniform_first)
        if self.uniform_first and amc(env).budget.limit is None:
            raise ValueError("uniform_first needs a budget: set preserve_ratio")
        self.recorder = Recorder(env)
        self.learner = FACTORIES[name](self.recorder, seed, **arguments)

    def diagnostics(self) -> dict[str, float]:
        """Return figures that the learner reports, by name: losses, the noise of its actions, ...

        A learner that has a method of this name is asked for them after each episode that is
        watched; the method must not change anything.
        """
        own = getattr(self.learner, "diagnostics", None)
        return {} if own is None else own()

    def learn(
        self,
        episodes: int,
        on_episode: Callable[[Episode], None] | None = None,
        on_evaluation: Callable[[int], None] | None = None,
    ) -> Result:
        """Learn for at most ``episodes`` evaluations and return the result.

        A learner that goes on after them is stopped; what it found within the budget is kept.

        Args:
            episodes: budget of evaluations; rules that need fewer use fewer.
            on_episode: called with each finished episode.
            on_evaluation: called after each evaluation with the number of evaluations.

        Raises:
            ValueError: ``episodes`` is below 1.
            RuntimeError: the learner finished no episode.
        """
        if episodes < 1:
            raise ValueError(f"episodes must be at least 1, not {episodes}")
        self.recorder.start(on_episode, on_evaluation, budget=episodes)
        began = time.perf_counter()
        stopped = False
        try:
            if self.uniform_first:
                budget = amc(self.recorder).budget
                execute(self.recorder, budget.scaled([1.0] * len(budget.channels)))
            if episodes > self.uniform_first:
                self.learner.learn(episodes - self.uniform_first)
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
    """Return the agent of that name on ``env``.

    Args:
        name: of a registered agent.
        env: environment to learn on.
        seed: of everything that it draws.
        arguments: further keyword arguments of the agent, such as hyper-parameters, and
            ``uniform_first``, see ``Agent``.

    Raises:
        ValueError: the name is unknown; the message suggests a close match.
        TypeError: the agent has no such argument.
    """
    choose("agent", name, FACTORIES)
    return Agent(name, env, seed, **arguments)


def fingerprint(name: str, **arguments: Any) -> str:
    """Return 16 hexadecimal digits that change with the agent's code and hyper-parameter files.

    Args:
        name: of a registered agent.
        arguments: keyword arguments that it will be made with; they are not hashed themselves, but
            the files that they name are.

    Raises:
        ValueError: the name is unknown; the message suggests a close match.
        OSError: a file that the agent reads cannot be read.
    """
    choose("agent", name, FACTORIES)
    own = {key: value for key, value in arguments.items() if key != "uniform_first"}
    return sources.fingerprint(FACTORIES[name].factory, own)
