"""Carry out jobs while people watch: bars, a line for each that ends, what failed at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from benchmarks.studies.executor import Executor, Failed, Finished, Job, Progressed

Finish = Callable[[Any, Any], str]
"""(job, result) -> one line about it; it keeps the result."""


def carry_out(
    jobs: Sequence[Job],
    executor: Executor,
    console: Console,
    finish: Finish,
    names: tuple[str, str] = ("runs", "episodes"),
) -> bool:
    """Carry out jobs and keep each result as it comes.

    Args:
        jobs: what to do; their text is what people read.
        executor: how to carry them out.
        console: where to show progress and say what happened.
        finish: keeps a result.
        names: what jobs and steps are called.

    Returns:
        Whether none failed.
    """
    failures = []
    # Closing ends the workers, whatever interrupts this loop.
    with _Bars(jobs, console, *names) as bars, closing(executor(jobs)) as events:
        for event in events:
            match event:
                case Finished(job, result):
                    bars.end(job, finish(job, result))
                case Failed(job, error, details):
                    failures.append(event)
                    bars.end(
                        job, f"[red]{job} failed: {escape(error)}[/]\n{escape(details)}".rstrip()
                    )
                case Progressed(job, steps):
                    bars.advance(job, steps)
    for failure in failures:
        console.print(f"[red]failed: {failure.job}: {escape(failure.error)}")
    return not failures


class _Bars:
    """A bar over the steps of all jobs and one for each job under way."""

    def __init__(
        self, jobs: Sequence[Job], console: Console, jobs_are: str, steps_are: str
    ) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._names = jobs_are, steps_are
        self._n_jobs, self._ended = len(jobs), 0
        steps = sum(job.steps for job in jobs)
        self._all = self._progress.add_task(self._title(), total=steps, visible=bool(jobs))
        self._bars: dict[Job, TaskID] = {}
        self._steps: dict[Job, int] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def advance(self, job: Job, steps: int) -> None:
        """``job`` has done so many steps."""
        if job not in self._bars:
            self._bars[job] = self._progress.add_task(str(job), total=job.steps)
        self._progress.update(self._bars[job], completed=steps)
        self._update(job, steps)

    def end(self, job: Job, message: str) -> None:
        """``job`` is over; say so."""
        self._ended += 1
        if job in self._bars:
            self._progress.remove_task(self._bars.pop(job))
        self._update(job, job.steps)
        self._progress.console.print(message, highlight=False, soft_wrap=True)

    def _update(self, job: Job, steps: int) -> None:
        self._steps[job] = steps
        completed = sum(self._steps.values())
        self._progress.update(self._all, completed=completed, description=self._title())

    def _title(self) -> str:
        jobs_are, steps_are = self._names
        return f"{self._ended}/{self._n_jobs} {jobs_are}, {steps_are}"
