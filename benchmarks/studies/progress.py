"""Execution of jobs with a display: a table of running jobs, a bar, a line for each end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.studies.executor import Executor, Failed, Finished, Job, Progressed

Finish = Callable[[Any, Any], str]
"""Function (job, result) -> one line about it, in rich's markup; it stores the result."""

OnNews = Callable[[Any, Sequence[Any]], None]
"""Function (job, news) -> nothing; it stores what a running job reports."""

OnFailed = Callable[[Any, Failed], str]
"""Function (job, failure) -> one line, or ""; it stores what is left of a failed job."""


Describe = Callable[[Any], str]
"""Function (running job) -> a few words on its progress."""

SHOWN = 12
"""Most running jobs in the table."""


def carry_out(
    jobs: Sequence[Job],
    executor: Executor,
    console: Console,
    finish: Finish,
    names: tuple[str, str] = ("runs", "evaluations"),
    *,
    on_news: OnNews | None = None,
    on_failed: OnFailed | None = None,
    describe: Describe | None = None,
) -> bool:
    """Execute jobs and keep each result as it comes.

    Args:
        jobs: the jobs, whose text is shown.
        executor: executes them.
        console: console that shows progress and events.
        finish: keeps a result.
        names: names of jobs and of steps.
        on_news: receives what running jobs report.
        on_failed: keeps what is left of a failed job.
        describe: describes a running job, for the table.

    Returns:
        Whether all jobs succeeded.
    """
    failures = []
    # Closing the generator ends the workers, whatever interrupts this loop.
    with _Bar(jobs, console, *names, describe) as bar, closing(executor(jobs)) as events:
        for event in events:
            match event:
                case Finished(job, result):
                    bar.end(job, finish(job, result))
                case Failed(job, error, details):
                    failures.append(event)
                    left = "" if on_failed is None else on_failed(job, event)
                    said = f"[red]{escape(f'{job} failed: {error}')}[/]\n{escape(details)}"
                    bar.end(job, f"{said.rstrip()}\n{escape(left)}".rstrip())
                case Progressed(job, steps, news):
                    if on_news is not None and news:
                        on_news(job, news)
                    bar.advance(job, steps)
    for failure in failures:
        console.print(f"[red]{escape(f'failed: {failure.job}: {failure.error}')}")
    return not failures


class _Watched(Progress):
    """A progress bar below a table of the running jobs."""

    table: Table | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the table, and the bar."""
        if self.table is not None:
            yield self.table
        yield from super().get_renderables()


class _Bar:
    """A bar over the steps of all jobs, the remaining time, and a table of running jobs.

    Without a terminal, each line about a finished job also has the number of finished jobs and the
    remaining time.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        console: Console,
        jobs_are: str,
        steps_are: str,
        describe: Describe | None = None,
    ) -> None:
        self._describe, self._steps_are = describe, steps_are
        self._progress = _Watched(
            TextColumn("{task.fields[ended]}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} " + steps_are),
            TextColumn("{task.fields[left]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._jobs_are, self._n_jobs, self._ended = jobs_are, len(jobs), 0
        self._total = sum(job.steps for job in jobs)
        self._steps: dict[Job, int] = {}
        self._active: dict[Job, None] = {}
        self._last: dict[Job, float] = {}  # time of the last step of each running job
        self._timed = 0.0, 0  # seconds and steps of all jobs, each since its first step
        self._at_once = 1
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
        """Show that ``job`` has done ``steps`` steps."""
        self._active[job] = None
        self._at_once = max(self._at_once, len(self._active))
        now, before = time.monotonic(), self._steps.get(job, 0)
        if 0 < before <= steps:  # a job that is tried again begins anew
            seconds, timed = self._timed
            self._timed = seconds + now - self._last[job], timed + steps - before
        self._steps[job], self._last[job] = steps, now
        self._update()

    def end(self, job: Job, message: str) -> None:
        """Show that ``job`` is over."""
        self._ended += 1
        self._active.pop(job, None)
        # Rules and failed jobs end before all their steps are done.
        self._total -= job.steps - self._steps.setdefault(job, 0)
        self._update()
        console = self._progress.console
        where = "" if console.is_terminal else f"({self._counted()}{self._left()}) "
        console.print(f"{where}{message}", highlight=False, soft_wrap=True)

    def _table(self) -> Table | None:
        """Return the table of running jobs: finished steps, and progress."""
        if not self._active:
            return None
        table = Table("", self._steps_are, "", box=None, padding=(0, 2, 0, 0))
        for job in list(self._active)[:SHOWN]:
            going = "" if self._describe is None else self._describe(job)
            done = f"{self._steps.get(job, 0)}/{job.steps}"
            table.add_row(escape(str(job)), done, escape(going))
        if (more := len(self._active) - SHOWN) > 0:
            table.add_row(f"and {more} more", "", "")
        return table

    def _update(self) -> None:
        self._progress.table = self._table()
        self._progress.update(
            self._task,
            completed=self._done,
            total=self._total,
            ended=self._counted(),
            left=self._left().removeprefix(", "),
        )

    def _counted(self) -> str:
        return f"{self._ended}/{self._n_jobs} {self._jobs_are}"

    @property
    def _done(self) -> int:
        return sum(self._steps.values())

    def _left(self) -> str:
        """Return the remaining time, from what a step takes without the start of its job.

        A rule is one step after a start of minutes, by which nothing can be said of a search.
        """
        seconds, timed = self._timed
        remaining = self._total - self._done
        if not timed or remaining <= 0:
            return ""
        at_once = min(self._at_once, self._n_jobs - self._ended)
        seconds *= remaining / timed / at_once
        return f", about {timedelta(seconds=round(seconds))} left"
