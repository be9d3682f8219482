"""Evaluation of each plan on the reward images with every ranking and recovery."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import amc_gym
from amc_gym import CompressionPlan
from amc_gym._utils.files import write_whole
from amc_gym.envs.batched_evaluation import evaluated_ahead
from amc_gym.envs.factory import make_env
from benchmarks.finetuning.identity import identity

RECOVERIES = (
    "none",
    "bn",
    "reconstruct",
    "reconstruct+bn",
    "sequential",
    "sequential+bn",
    "nonlinear",
)
"""Recoveries from none to the best; steps are joined by a plus sign."""

SEPARATORS = (",", ":")
"""Separators of the JSON from which names of this study's files are hashed."""


@dataclass(frozen=True)
class Signal:
    """A signal that a search could use as reward."""

    importance: str
    recovery: str

    def __str__(self) -> str:
        return f"{self.importance}, {self.recovery}"


@dataclass(frozen=True)
class Judgement:
    """The job of evaluating all plans with one signal.

    Attributes:
        signal: the signal.
        plans: in the order of the accuracies.
        folder: folder of the accuracies, which are kept plan by plan.
    """

    signal: Signal
    plans: tuple[CompressionPlan, ...]
    folder: Path

    @property
    def name(self) -> str:
        """Name of its file: readable, and unique for the plans."""
        texts = [identity(plan, SEPARATORS) for plan in self.plans]
        digest = hashlib.sha256("".join(texts).encode()).hexdigest()[:8]
        words = f"{self.signal.importance}-{self.signal.recovery}".replace(":", "-")
        return f"{words}-{digest}"

    @property
    def path(self) -> Path:
        """Path of its file: a list of the accuracies that are finished."""
        return self.folder / f"{self.name}.json"

    @property
    def steps(self) -> int:
        """Number of plans."""
        return len(self.plans)

    @property
    def finished(self) -> list[float]:
        """Return the accuracies of the first plans, as far as they are known."""
        if not self.path.exists():
            return []
        accuracies = json.loads(self.path.read_text("utf-8"))
        if not isinstance(accuracies, list) or len(accuracies) > len(self.plans):
            raise ValueError(f"{self.path} is not {len(self.plans)} accuracies: delete it")
        return accuracies

    def __str__(self) -> str:
        return str(self.signal)


def work(job: Judgement, progressed: Callable[[int], None]) -> list[float]:
    """Return the accuracy of each plan's counts with the signal's ranking and recovery."""
    env = make_env(
        amc_gym.task_of(job.plans[0]),
        preserve_ratio=None,
        importance=job.signal.importance,
        recovery=job.signal.recovery,
    )
    accuracies = job.finished
    plans = [plan.counts for plan in job.plans[len(accuracies) :]]
    for counts in evaluated_ahead(env, plans):
        accuracies.append(env.engine.evaluator(counts).score)
        write_whole(job.path, json.dumps(accuracies) + "\n")
        progressed(len(accuracies))
    return accuracies
