"""Studies small enough to run many of: a network with random weights and 20 reward images."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from benchmarks.execution import execute
from benchmarks.executor import Event, Failed, Finished
from benchmarks.runs import Run

ENV = "AMC-MobileNet-v0"
KWARGS = {"weights": "random", "reward_images": 20, "recovery": "none"}


class Serial:
    """An executor in this process; ``runs`` are those that it was given."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def __call__(self, runs: Sequence[Run]) -> Generator[Event, None, None]:
        for run in runs:
            self.runs.append(run)
            try:
                yield Finished(run, execute(run))
            except RuntimeError as error:
                yield Failed(run, str(error))
