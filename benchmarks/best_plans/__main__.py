"""The command line: ``python -m benchmarks.best_plans``."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
from torch import nn
from tyro.conf import Positional

import amc_gym
from agents.plans import amc
from amc_gym import CompressionTask, Split
from amc_gym._utils.files import write_json
from amc_gym._utils.progress import counter
from amc_gym.compression.recovery import chain
from benchmarks.arguments import run_command
from benchmarks.best_plans import table
from benchmarks.best_plans.candidates import Candidate
from benchmarks.best_plans.judged import FULL, SEVERAL, TUNED, UNDER, Judged, right_images
from benchmarks.studies.execution import make_env
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError, Setting


def judge(
    folder: Positional[Path],
    recoveries: tuple[str, ...] = (),
    tuned: Path | None = None,
    candidates: int = 1,
    data_root: Path | None = None,
    weights: Path | None = None,
) -> int:
    """Evaluate the best plan of each finished run: best-plans.md and .csv, and files for each plan.

    The plans themselves are written to plans/, for `amc-gym bench-latency` and other commands.

    Args:
        folder: The results folder, given by --out of run.
        recoveries: Further recoveries to evaluate plans with, besides that of the search.
        tuned: Folder of fine-tuned networks of plans, each named like its plan, as written by
            `amc-gym finetune plans/X.json --out TUNED/X.safetensors`; they are evaluated, too.
        candidates: Number of distinct plans of each run, the best ones of the search, to evaluate
            under each further recovery; the one with the most correct reward images gets a line,
            and its plan is written to plans/, too.
        data_root: Folder of data that is read from disk, if it is no longer where it was in the
            search; by default $AMC_DATA_ROOT.
        weights: File of the network's weights, if it is no longer where it was in the search.

    Examples:
        python -m benchmarks.best_plans runs/mine --recoveries sequential+bn
        python -m benchmarks.best_plans runs/mine --recoveries nonlinear --candidates 5
    """
    for recovery in recoveries:
        chain(recovery)
    if candidates < 1 or (candidates > 1 and not recoveries):
        raise BenchmarkError("--candidates must be at least 1, and more need --recoveries")
    records, _ = Store(folder).load()
    if not records:
        raise BenchmarkError(f"no finished runs in {folder}: run the study first")
    if len({record.run.setting.digest for record in records}) > 1:
        raise BenchmarkError(f"{folder} holds runs of several settings: put each in its own folder")
    setting = records[0].run.setting
    env = amc(_made(setting, data_root, weights))
    task = env.task
    if task.fingerprint != setting.task:
        raise BenchmarkError(
            "the weights or images differ from those of the study: use its own, or run it again"
        )
    if not isinstance(task.test, Split):
        raise BenchmarkError("plans are evaluated by top-1 and top-5: the task must classify")
    found = {record.run.name: Candidate.of(record, candidates, env) for record in records}
    for name in ("best-plans", "plans"):
        (folder / name).mkdir(exist_ok=True)
    for record in records:
        record.best.plan.save(folder / "plans" / f"{record.run.name}.json")
    files = folder / "best-plans"
    full = files / "full.json"
    if not full.exists():
        write_json(full, asdict(Judged(FULL, 1.0, 0, 0.0, right_images(task.model, task))))
    judged = [Judged.read(full)]
    work = [(recovery, record) for recovery in (None, *recoveries) for record in records]
    with counter() as bar:
        for recovery, record in bar.track(work, description="plans"):
            theirs = found[record.run.name]
            judged.append(_judged(files, task, theirs[0], recovery))
            if recovery is None or len(theirs) == 1:
                continue
            each = [_judged(files, task, one, recovery) for one in theirs]
            right = [one.right[f"reward {setting.options['metric']}"].accuracy for one in each]
            first = right.index(max(right))
            judged.append(replace(each[first], agent=f"{each[first].agent}{SEVERAL}{candidates}"))
            theirs[first].plan.save(folder / "plans" / f"{record.run.name}.{recovery}.json")
    for record, network in _tuned(records, tuned):
        digest = hashlib.sha256(network.read_bytes()).hexdigest()[:8]
        path = files / f"{record.run.name}.tuned-{digest}.images.json"
        make = partial(amc_gym.load, network, task=task)
        judged.append(_written(path, task, found[record.run.name][0], TUNED, make))
    table.write(folder, judged, records[0], task)
    return 0


def _made(setting: Setting, data_root: Path | None, weights: Path | None) -> gym.Env[Any, Any]:
    """Return the environment of a study, with data and weights where they are now.

    Raises:
        BenchmarkError: it cannot be made.
    """
    moved = {"data_root": data_root, "weights": weights}
    here = {name: str(place) for name, place in moved.items() if place is not None}
    try:
        return make_env(setting.env, {**setting.kwargs, **here})
    except BenchmarkError as error:
        if isinstance(error.__cause__, OSError):
            raise BenchmarkError(
                f"{error}: --weights and --data-root say where the study's own are now"
            ) from error
        raise


def _tuned(records: Sequence[Record], folder: Path | None) -> list[tuple[Record, Path]]:
    """Return the runs whose plans are fine-tuned, with the files of these networks.

    Raises:
        BenchmarkError: the folder has no such network.
    """
    if folder is None:
        return []
    named = [(record, folder / f"{record.run.name}.safetensors") for record in records]
    if found := [each for each in named if each[1].exists()]:
        return found
    raise BenchmarkError(f"{folder} has no network of these runs, such as {named[0][1].name}")


def _judged(
    files: Path, task: CompressionTask, candidate: Candidate, recovery: str | None
) -> Judged:
    """Return which images a plan has right under a recovery; None: that of the search."""
    rank = f".{candidate.rank}" if candidate.rank else ""
    ending, treated = ("", "") if recovery is None else (f".{recovery}", UNDER + recovery)
    path = files / f"{candidate.record.run.name}{rank}{ending}.images.json"
    make = partial(amc_gym.compress, task, candidate.plan, recovery)
    return _written(path, task, candidate, treated, make)


def _written(
    path: Path,
    task: CompressionTask,
    candidate: Candidate,
    treated: str,
    make: Callable[[], nn.Module],
) -> Judged:
    """Return the content of a file, or evaluate a network and write it.

    Args:
        path: the file.
        task: task with the images.
        candidate: the network's plan.
        treated: treatment of the plan, appended to the agent's name.
        make: returns the network.
    """
    if path.exists():
        return Judged.read(path)
    record = candidate.record
    made = Judged(
        record.run.label + treated,
        candidate.macs_ratio,
        record.evaluations,
        round(record.seconds, 3),
        right_images(make(), task),
    )
    write_json(path, asdict(made))
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return run_command(judge, "benchmarks.best_plans", arguments)


if __name__ == "__main__":
    sys.exit(main())
