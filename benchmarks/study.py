"""Run whatever a results folder still lacks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

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

from benchmarks.executor import Executor, Failed, Finished, Progressed
from benchmarks.records import Record, Store
from benchmarks.runs import Run


def complete(runs: Sequence[Run], store: Store, executor: Executor, console: Console) -> bool:
    """Carry out the runs that ``store`` does not hold yet, and keep each as it finishes.

    Args:
        runs: all runs of the study; of one setting.
        store: a prepared folder.
        executor: how to carry them out.
        console: where to show progress and say what happened.

    Returns:
        Whether the store now holds every run.
    """
    records, foreign = store.load()
    for path, problem in foreign.items():
        again = "; it is run again" if path in map(store.path, runs) else "; it is left alone"
        console.print(f"[yellow]{escape(path.name)} does not count: {escape(problem)}{again}")
    others = {record.run.setting for record in records} - {run.setting for run in runs}
    if others:
        console.print(
            f"[yellow]{store.folder} also holds runs of {len(others)} other "
            f"setting{'s'[: len(others) > 1]} of task, options or budget: "
            "they are reported apart"
        )
    done = {record.run for record in records}
    missing = [run for run in runs if run not in done]
    if len(missing) < len(runs):
        console.print(f"{len(runs) - len(missing)} of {len(runs)} runs are finished already")
    failures = []
    # Closing ends the workers, whatever interrupts this loop.
    with _Bars(missing, console) as bars, closing(executor(missing)) as events:
        for event in events:
            match event:
                case Finished(run, record):
                    store.save(record)
                    bars.end(run, _summary(record))
                case Failed(run, error, details):
                    failures.append(event)
                    bars.end(
                        run, f"[red]{run} failed: {escape(error)}[/]\n{escape(details)}".rstrip()
                    )
                case Progressed(run, episodes):
                    bars.advance(run, episodes)
    for failure in failures:
        console.print(f"[red]failed: {failure.run}: {escape(failure.error)}")
    return not failures


def _summary(record: Record) -> str:
    best = record.best
    return (
        f"{record.run}: {best.reward_accuracy:.1%} on reward images, "
        f"{best.test_accuracy:.1%} on test images at {best.macs_ratio:.1%} of the MACs; "
        f"{record.evaluations} evaluations, {record.seconds:.1f} s"
    )


class _Bars:
    """A bar over all episodes of a study and one for each run under way."""

    def __init__(self, runs: Sequence[Run], console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._n_runs, self._ended = len(runs), 0
        episodes = sum(run.setting.episodes for run in runs)
        self._all = self._progress.add_task(self._title(), total=episodes, visible=bool(runs))
        self._bars: dict[Run, TaskID] = {}
        self._episodes: dict[Run, int] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def advance(self, run: Run, episodes: int) -> None:
        """``run`` has finished so many episodes."""
        if run not in self._bars:
            self._bars[run] = self._progress.add_task(str(run), total=run.setting.episodes)
        self._progress.update(self._bars[run], completed=episodes)
        self._update(run, episodes)

    def end(self, run: Run, message: str) -> None:
        """``run`` is over; say so."""
        self._ended += 1
        if run in self._bars:
            self._progress.remove_task(self._bars.pop(run))
        self._update(run, run.setting.episodes)
        self._progress.console.print(message, highlight=False, soft_wrap=True)

    def _update(self, run: Run, episodes: int) -> None:
        self._episodes[run] = episodes
        completed = sum(self._episodes.values())
        self._progress.update(self._all, completed=completed, description=self._title())

    def _title(self) -> str:
        return f"{self._ended}/{self._n_runs} runs, episodes"
