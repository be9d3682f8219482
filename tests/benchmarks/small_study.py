"""Small studies, for tests to run many: a network with random weights and 20 reward images."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.studies.execution import execute
from benchmarks.studies.executor import Event, Failed, Finished, Progressed
from benchmarks.studies.records import Best, History, Record
from benchmarks.studies.runs import Run

ENV = "AMC-MobileNet-v0"
KWARGS = {"weights": "random", "reward_images": 20, "recovery": "none"}


class Serial:
    """An executor in this process, which records the runs that it is given in ``runs``."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def __call__(self, runs: Sequence[Run]) -> Generator[Event, None, None]:
        for run in runs:
            self.runs.append(run)
            try:
                yield Finished(run, execute(run))
            except RuntimeError as error:
                yield Failed(run, str(error))


class InProcess:
    """An executor in this process that pickles jobs and events as others do; it records ``jobs``.

    As on a cluster, the last event of a job is not passed on.
    """

    def __init__(self, work: Callable[..., Any]) -> None:
        self.work, self.jobs = work, []

    def __call__(self, jobs: Sequence[Any]) -> Generator[Event, None, None]:
        for job in jobs:
            self.jobs.append(job)
            told: list[tuple[Any, ...]] = []
            result = self.work(
                pickle.loads(pickle.dumps(job)), lambda *news, told=told: told.append(news)
            )
            steps = [each[0] for each in told]
            assert steps == sorted(steps)
            yield Progressed(
                job, max(steps, default=0), tuple(n[1] for n in told if len(n) > 1)[:-1]
            )
            yield Finished(job, pickle.loads(pickle.dumps(result)))


def variant(record: Record, agent: str, seed: int, accuracy: float, episodes: int = 3) -> Record:
    """Return the record of another run, whose rewards rise to ``accuracy``."""
    rewards = [accuracy / 2, accuracy, accuracy / 4]
    best: Best = replace(
        record.best, reward=accuracy, reward_accuracy=accuracy, test_accuracy=accuracy - 0.1
    )
    history: History = replace(record.history, reward=rewards, accuracy=rewards)
    setting = replace(record.run.setting, episodes=episodes)
    return replace(record, run=Run(setting, agent, seed), best=best, history=history)
