"""Execution of the runs that a results folder still lacks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from benchmarks.studies import journals, manifest
from benchmarks.studies.executor import Executor, Failed
from benchmarks.studies.progress import carry_out
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import Run


def complete(
    runs: Sequence[Run], store: Store, executor: Executor, console: Console, *, rerun: bool = False
) -> bool:
    """Execute the runs that ``store`` does not hold yet, and keep each as it finishes.

    If a run fails, its finished episodes are kept as a journal, which the next attempt replaces.

    Args:
        runs: all runs of the study, in one setting.
        store: a prepared folder.
        executor: executes the runs.
        console: console that shows progress and events.
        rerun: whether to repeat finished runs; each replaces its record when it has finished.

    Returns:
        Whether the store now holds every run.
    """
    records, foreign = store.load()
    _report_other_records(runs, store, records, console)
    for path, problem in foreign.items():
        again = "; it is run again" if path in map(store.path, runs) else "; it is left alone"
        console.print(f"[yellow]{escape(path.name)} does not count: {escape(problem)}{again}")
    manifest.ask(store.folder, runs)
    done = set() if rerun else {record.run for record in records}
    missing = [run for run in runs if run not in done]
    if len(missing) < len(runs):
        console.print(
            f"{len(runs) - len(missing)} of {len(runs)} runs are finished already and stay; "
            f"to begin anew: rm -r {store.folder}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    episodes: dict[Run, list[dict[str, Any]]] = defaultdict(list)

    def on_news(run: Run, news: Sequence[dict[str, Any]]) -> None:
        store.on_news(run, news)
        for item in news:
            entry = {name: value for name, value in item.items() if name != "learner"}
            if episodes[run] and entry["evaluation"] <= episodes[run][-1]["evaluation"]:
                episodes[run].clear()  # its process died, and another one repeats the run
            episodes[run].append(entry)

    def keep(run: Run, record: Record) -> str:
        store.save(record)
        journals.discard(store.folder, run)
        episodes.pop(run, None)
        return _summary(record)

    def on_failed(run: Run, failure: Failed) -> str:
        store.on_failed(run)
        if not episodes[run]:
            return ""
        path = journals.write(store.folder, run, episodes.pop(run), failure.error)
        return f"its finished episodes are in {path.name}; they are no result"

    def describe(run: Run) -> str:
        best = max(episodes[run], key=lambda entry: entry["reward"], default=None)
        return "" if best is None else f"best so far {best['accuracy']:.1%} on reward images"

    return carry_out(
        missing, executor, console, keep, on_news=on_news, on_failed=on_failed, describe=describe
    )


def _report_other_records(
    runs: Sequence[Run], store: Store, records: Sequence[Record], console: Console
) -> None:
    """Print one line about each kind of record that does not belong to this study."""
    others = {record.run.setting for record in records} - {run.setting for run in runs}
    if others:
        console.print(
            f"[yellow]{store.folder} also holds runs of {len(others)} other "
            f"setting{'s'[: len(others) > 1]} of task, options or budget: "
            "they are reported apart"
        )
    places = {run.place: run for run in runs}
    changed = [r.run for r in records if (now := places.get(r.run.place)) and now != r.run]
    for agents, why in (
        ({run.agent for run in changed if run.code is None}, "nobody knows which code they ran"),
        ({run.agent for run in changed if run.code is not None}, "their code has changed since"),
    ):
        if agents:
            console.print(
                f"[yellow]{store.folder} also holds earlier runs of {', '.join(sorted(agents))}: "
                f"{why}, so they are reported apart and run again"
            )


def _summary(record: Record) -> str:
    best = record.best
    over = ", where it was stopped" if record.stopped else ""
    return escape(
        f"{record.run}: {best.reward_accuracy:.1%} on reward images, "
        f"{best.test_accuracy:.1%} on test images at {best.macs_ratio:.1%} of the MACs; "
        f"{record.evaluations} evaluations{over}, {record.seconds:.1f} s"
    )
