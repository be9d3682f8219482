"""The progress bar of a measurement, on stderr."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bar:
    """What is prepared, and the rounds that are done.

    Args:
        rounds: how many there will be.
        shown: whether there is a bar.
    """

    def __init__(self, rounds: int, shown: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not shown
        )
        self._task = self._progress.add_task("preparing to measure latency", total=rounds)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def prepared(self, n: int) -> None:
        self._progress.update(self._task, description=f"preparing to measure latency: {n}")

    def timed(self, rounds: int) -> None:
        self._progress.update(self._task, completed=rounds, description="measuring latency, rounds")
