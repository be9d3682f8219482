"""Recording of what an agent finds, outside of the agent.

An evaluation is one plan whose accuracy the agent gets to know: every finished episode, and every
plan that it asks for outside of episodes, as NetAdapt does with plans over the budget.
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
    """Raised inside an agent that goes on after its last evaluation, to end `Agent.learn`.

    It is not an Exception, so that an agent that catches its own errors does not catch this.
    """


@dataclass(frozen=True)
class Episode:
    """One finished plan.

    Attributes:
        reward: final reward.
        accuracy: on the reward images, in [0, 1].
        macs: MACs of the compressed network.
        params: parameters of the compressed network.
        channels: kept channels of each unit; kept weights in weight pruning.
        seconds: since learning began.
        evaluation: number of the evaluation in the run, from 1.
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
        evaluations: number of evaluated plans, including repeated ones and those outside of
            episodes.
        distinct: number of distinct plans.
        seconds: wall-clock time of the whole run.
        environment_seconds: part of it that was spent in the environment, including the recording
            of episodes.
        stopped: whether the agent was stopped after its last evaluation.
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
        """The first episode with the highest reward."""
        return max(self.history, key=lambda episode: episode.reward)


class Recorder(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper that passes everything through and records the finished episodes.

    The environment runs with all threads of the process, even if the agent uses only one.

    Attributes:
        history: finished episodes since ``start``.
        best: their plan with the highest reward, the earliest of equals.
        budget: limit on evaluations; ``None``: no limit.
        evaluations: plans evaluated since ``start``.
        plans: the distinct plans, by their counts.
        seconds: time inside the environment since ``start``, including this recording.
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
            on_evaluation: called after each evaluation with the number of evaluations.
            budget: limit on evaluations; `BudgetSpent` is raised when another one begins.
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
        """Begin an episode, and its timing."""
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

    def evaluate_ahead(self, plans: Sequence[tuple[int, ...]]) -> int:
        """Evaluate plans in advance, as far as the budget goes; they are not counted yet.

        Returns:
            The number of plans, from the first on, that may be asked for now.
        """
        left = len(plans) if self.budget is None else max(0, self.budget - self.evaluations)
        if not left:
            return len(plans)  # the first of them ends the run
        began = time.perf_counter()
        with environment_threads():
            known = self.env.get_wrapper_attr("evaluate_ahead")(plans[:left])
        self.seconds += time.perf_counter() - began
        return known

    def aside(self, counts: Sequence[int]) -> float:
        """Return the accuracy of a plan outside of episodes, possibly over the budget; it counts.

        Args:
            counts: of each unit, admissible.

        Raises:
            TypeError: the wrapped environment is not an AMC environment.
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
        """Record a finished episode, and call the callbacks."""
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
