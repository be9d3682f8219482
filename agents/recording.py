"""Recording of what an agent finds, outside of it.

An evaluation is one plan whose accuracy the agent got to know: every finished episode, and every
plan that it asked for on the side, as NetAdapt does with those over the budget.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from amc_gym import CompressionPlan

from .plans import amc
from .threads import environment_threads


class BudgetSpent(BaseException):
    """Raised inside an agent that goes on after its last evaluation; `Agent.learn` ends there.

    It is no Exception, so that an agent that survives its own errors does not survive this.
    """


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
        evaluation: which evaluation of the run it was, from 1.
    """

    reward: float
    accuracy: float
    macs: int
    params: int
    channels: tuple[int, ...]
    seconds: float
    evaluation: int


@dataclass(frozen=True)
class Result:
    """The outcome of one run.

    Attributes:
        agent: the agent's name.
        seed: its seed.
        best: the plan with the highest reward, the earliest of equals.
        history: every finished episode, in order.
        evaluations: how many plans were evaluated, those seen before and on the side included.
        distinct: how many different ones.
        seconds: wall-clock of the whole run.
        environment_seconds: the part of it that is not the agent's own: spent in the environment,
            the record of its episodes included.
        stopped: whether the agent would have gone on after its last evaluation.
    """

    agent: str
    seed: int
    best: CompressionPlan
    history: tuple[Episode, ...]
    evaluations: int
    distinct: int
    seconds: float
    environment_seconds: float
    stopped: bool = False

    @property
    def best_episode(self) -> Episode:
        """The episode of the best plan."""
        return max(self.history, key=lambda episode: episode.reward)


class Recorder(gym.Wrapper[Any, Any, Any, Any]):
    """Passes everything through and keeps the finished episodes.

    The environment runs with all threads of the process, also where the agent has but one.

    Attributes:
        history: finished episodes since ``start``.
        best: their plan with the highest reward, the earliest of equals.
        budget: evaluations that may be spent; ``None``: as many as one likes.
        evaluations: plans evaluated since ``start``.
        plans: the different ones among them, by their counts.
        seconds: spent inside the environment since ``start``, this record included.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.start()

    def start(
        self,
        on_episode: Callable[[Episode], None] | None = None,
        on_evaluation: Callable[[int], None] | None = None,
        budget: int | None = None,
    ) -> None:
        """Begin a new record.

        Args:
            on_episode: called with each finished episode.
            on_evaluation: called after each evaluation with how many there were.
            budget: of evaluations; `BudgetSpent` is raised where another one begins.
        """
        self.budget = budget
        self.history: list[Episode] = []
        self.best: CompressionPlan | None = None
        self.evaluations = 0
        self.plans: set[tuple[int, ...]] = set()
        self.seconds = 0.0
        self._best_reward = -np.inf
        self._on_episode, self._on_evaluation = on_episode, on_evaluation
        self._channels: list[int] = []
        self._began = time.perf_counter()

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, and its time."""
        began = time.perf_counter()
        self._channels = []
        with environment_threads():
            start = super().reset(**kwargs)
        self.seconds += time.perf_counter() - began
        return start

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step; the last one of an episode is recorded."""
        self._check_budget()
        began = time.perf_counter()
        with environment_threads():
            observation, reward, terminated, truncated, info = super().step(action)
        self._channels.append(info["channels"] if "channels" in info else info["weights"])
        if terminated:
            self._finish(float(reward), info)
        self.seconds += time.perf_counter() - began
        return observation, reward, terminated, truncated, info

    def ahead(self, plans: Sequence[tuple[int, ...]]) -> int:
        """Have plans evaluated that come next, as far as the budget goes; none of them counts yet.

        Returns:
            How many of them, from the first on, may be asked for now.
        """
        left = len(plans) if self.budget is None else max(0, self.budget - self.evaluations)
        if not left:
            return len(plans)  # the first of them ends the run
        began = time.perf_counter()
        with environment_threads():
            known = self.env.get_wrapper_attr("ahead")(plans[:left])
        self.seconds += time.perf_counter() - began
        return known

    def aside(self, counts: Sequence[int]) -> float:
        """Accuracy of a plan without an episode, so that it may be over the budget; it counts.

        Args:
            counts: of each unit, admissible.

        Raises:
            TypeError: beneath it is no AMC environment.
        """
        self._check_budget()
        began = time.perf_counter()
        engine = amc(self).engine
        with environment_threads():
            accuracy = engine.evaluator(counts).score
        self._count(tuple(counts))
        self.seconds += time.perf_counter() - began
        return accuracy

    def result(self, agent: str, seed: int, seconds: float, *, stopped: bool = False) -> Result:
        """Summarise the record since ``start``; at least one episode must be finished."""
        assert self.best is not None
        return Result(
            agent,
            seed,
            self.best,
            tuple(self.history),
            self.evaluations,
            len(self.plans),
            seconds,
            self.seconds,
            stopped,
        )

    def _check_budget(self) -> None:
        if self.budget is not None and self.evaluations >= self.budget:
            raise BudgetSpent(f"the budget of {self.budget} evaluations is spent")

    def _count(self, counts: tuple[int, ...]) -> None:
        self.evaluations += 1
        self.plans.add(counts)
        if self._on_evaluation is not None:
            self._on_evaluation(self.evaluations)

    def _finish(self, reward: float, info: dict[str, Any]) -> None:
        """Record a finished episode and tell of it."""
        seconds = time.perf_counter() - self._began
        channels = tuple(self._channels)
        self._count(channels)
        episode = Episode(
            reward=reward,
            accuracy=info["score"],
            macs=info["macs"],
            params=info["params"],
            channels=channels,
            seconds=seconds,
            evaluation=self.evaluations,
        )
        self.history.append(episode)
        if reward > self._best_reward:
            self._best_reward = reward
            self.best = CompressionPlan.from_json(info["plan"])
        if self._on_episode is not None:
            self._on_episode(episode)
