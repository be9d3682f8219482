"""Run whatever a results folder still lacks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from benchmarks.studies.executor import Executor
from benchmarks.studies.progress import carry_out
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import Run


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

    def keep(_: Run, record: Record) -> str:
        store.save(record)
        return _summary(record)

    return carry_out(missing, executor, console, keep)


def _summary(record: Record) -> str:
    best = record.best
    return (
        f"{record.run}: {best.reward_accuracy:.1%} on reward images, "
        f"{best.test_accuracy:.1%} on test images at {best.macs_ratio:.1%} of the MACs; "
        f"{record.evaluations} evaluations, {record.seconds:.1f} s"
    )
