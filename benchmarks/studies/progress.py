"""Carry out jobs while people watch: one bar, a line for each that ends, what failed at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.studies.executor import Executor, Failed, Finished, Job, Progressed

Finish = Callable[[Any, Any], str]
"""(job, result) -> one line about it, in rich's markup; it keeps the result."""

Hear = Callable[[Any, Sequence[Any]], None]
"""(job, news) -> nothing; it remembers what a job says while it is under way."""

Bury = Callable[[Any, Failed], str]
"""(job, failure) -> one line, or nothing; it keeps what is left of a failed job."""


def carry_out(
    jobs: Sequence[Job],
    executor: Executor,
    console: Console,
    finish: Finish,
    names: tuple[str, str] = ("runs", "evaluations"),
    *,
    hear: Hear | None = None,
    bury: Bury | None = None,
) -> bool:
    """Carry out jobs and keep each result as it comes.

    Args:
        jobs: what to do; their text is what people read.
        executor: how to carry them out.
        console: where to show progress and say what happened.
        finish: keeps a result.
        names: what jobs and steps are called.
        hear: told what jobs say while they are under way.
        bury: keeps what is left of a failed job.

    Returns:
        Whether none failed.
    """
    failures = []
    # Closing ends the workers, whatever interrupts this loop.
    with _Bar(jobs, console, *names) as bar, closing(executor(jobs)) as events:
        for event in events:
            match event:
                case Finished(job, result):
                    bar.end(job, finish(job, result))
                case Failed(job, error, details):
                    failures.append(event)
                    left = "" if bury is None else bury(job, event)
                    said = f"[red]{escape(f'{job} failed: {error}')}[/]\n{escape(details)}"
                    bar.end(job, f"{said.rstrip()}\n{escape(left)}".rstrip())
                case Progressed(job, steps, news):
                    bar.advance(job, steps)
                    if hear is not None and news:
                        hear(job, news)
    for failure in failures:
        console.print(f"[red]{escape(f'failed: {failure.job}: {failure.error}')}")
    return not failures


class _Bar:
    """One bar over the steps of all jobs, with the jobs under way and the time that is left.

    Where there is no terminal, each line about a job that has ended says how many have, and the
    time that is left.
    """

    def __init__(
        self, jobs: Sequence[Job], console: Console, jobs_are: str, steps_are: str
    ) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[ended]}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} " + steps_are),
            TextColumn("{task.fields[left]}"),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._jobs_are, self._n_jobs, self._ended = jobs_are, len(jobs), 0
        self._total = sum(job.steps for job in jobs)
        self._steps: dict[Job, int] = {}
        self._active: dict[Job, None] = {}
        self._first: tuple[float, int] | None = None  # when steps began to be done, and how many
        self._task = self._progress.add_task(
            "", total=self._total, visible=bool(jobs), ended="", left=""
        )

    def __enter__(self) -> _Bar:
        self._update()
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def advance(self, job: Job, steps: int) -> None:
        """``job`` has done so many steps."""
        self._active[job] = None
        self._steps[job] = steps
        if self._first is None and steps:
            self._first = time.monotonic(), self._done
        self._update()

    def end(self, job: Job, message: str) -> None:
        """``job`` is over; say so."""
        self._ended += 1
        self._active.pop(job, None)
        # Rules and what fails end before their steps are done.
        self._total -= job.steps - self._steps.setdefault(job, 0)
        self._update()
        console = self._progress.console
        where = "" if console.is_terminal else f"({self._counted()}{self._left()}) "
        console.print(f"{where}{message}", highlight=False, soft_wrap=True)

    def _update(self) -> None:
        self._progress.update(
            self._task,
            completed=self._done,
            total=self._total,
            description=escape(", ".join(map(str, self._active))),
            ended=self._counted(),
            left=self._left().removeprefix(", "),
        )

    def _counted(self) -> str:
        return f"{self._ended}/{self._n_jobs} {self._jobs_are}"

    @property
    def _done(self) -> int:
        return sum(self._steps.values())

    def _left(self) -> str:
        """How long the rest takes if steps go on as they went since the first one."""
        if self._first is None:
            return ""
        since, before = self._first
        done = self._done - before
        if done <= 0 or self._done >= self._total:
            return ""
        seconds = (time.monotonic() - since) * (self._total - self._done) / done
        return f", about {timedelta(seconds=round(seconds))} left"
