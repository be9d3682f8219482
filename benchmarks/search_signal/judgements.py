"""Judgements of each plan by every ranking and recovery, on the reward images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import amc_gym
from amc_gym import CompressionPlan
from amc_gym._utils.files import write_whole
from amc_gym.envs.ahead import evaluated_ahead
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
"""From nothing to the best; what stands behind a plus is done as well."""

SEPARATORS = (",", ":")
"""Separators of the JSON that names of this study's files are hashed from."""


@dataclass(frozen=True)
class Signal:
    """A signal that a search could be rewarded by."""

    importance: str
    recovery: str

    def __str__(self) -> str:
        return f"{self.importance}, {self.recovery}"


@dataclass(frozen=True)
class Judgement:
    """All plans under one signal.

    Attributes:
        signal: which one.
        plans: in the order of the accuracies.
        folder: where finished judgements are kept, plan by plan.
    """

    signal: Signal
    plans: tuple[CompressionPlan, ...]
    folder: Path

    @property
    def name(self) -> str:
        """Name of its file: readable, and unique by the plans."""
        texts = [identity(plan, SEPARATORS) for plan in self.plans]
        digest = hashlib.sha256("".join(texts).encode()).hexdigest()[:8]
        words = f"{self.signal.importance}-{self.signal.recovery}".replace(":", "-")
        return f"{words}-{digest}"

    @property
    def path(self) -> Path:
        """Path of its file: a list of accuracies, as long as what is finished."""
        return self.folder / f"{self.name}.json"

    @property
    def steps(self) -> int:
        """Plans."""
        return len(self.plans)

    @property
    def finished(self) -> list[float]:
        """Accuracies of the first plans, as far as they are known."""
        if not self.path.exists():
            return []
        accuracies = json.loads(self.path.read_text("utf-8"))
        if not isinstance(accuracies, list) or len(accuracies) > len(self.plans):
            raise ValueError(f"{self.path} is no list of {len(self.plans)} accuracies: delete it")
        return accuracies

    def __str__(self) -> str:
        return str(self.signal)


def work(job: Judgement, progressed: Callable[[int], None]) -> list[float]:
    """Accuracy of each plan's counts, ranked and recovered as the signal says."""
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
