"""The command line: ``python -m benchmarks.pareto``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from tyro.conf import arg

from agents import kind_of
from amc_gym._utils.files import write_json
from amc_gym.cli.console import printer
from amc_gym.compression.latency.checking import check
from amc_gym.compression.latency.measurement import build
from amc_gym.compression.latency.table import LatencyTable
from amc_gym.compression.latency.timing import NOISIEST
from amc_gym.compression.latency.workload import Workload
from amc_gym.engine.cache import engines
from amc_gym.engine.latency import workload_of
from amc_gym.training.recipe import Recipe
from benchmarks.arguments import json_object, run_command, split
from benchmarks.finetuning.jobs import FULL, RECIPE, FineTuning, jobs_of, unfinished
from benchmarks.finetuning.jobs import work as work_finetuning
from benchmarks.finetuning.outcomes import Outcome, load_all
from benchmarks.machine import cores
from benchmarks.pareto.latencies import Latency, measured, name_of, timed_networks
from benchmarks.pareto.points import chosen, points_of
from benchmarks.pareto.report import write
from benchmarks.studies import manifest
from benchmarks.studies.execution import (
    entrants_of,
    modules_in,
    names_of,
    setting_of,
    task_of,
    work,
)
from benchmarks.studies.executor import LocalExecutor
from benchmarks.studies.progress import carry_out
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError, runs_of
from benchmarks.studies.study import complete

LATENCIES, CHECK = "latencies.json", "latency-check.json"
"""Files of the networks' times, and of the latency table's check."""

CHECKED = 50
"""Number of random plans that the latency table is checked on."""


def pareto(
    out: Path,
    env: str = "AMC-MobileNet-v0",
    env_kwargs: Annotated[str, arg(metavar="JSON")] = "{}",
    budgets: Annotated[str, arg(metavar="A,B,...")] = "0.8,0.65,0.5,0.4,0.3",
    agents: Annotated[
        str, arg(metavar="A,B,...")
    ] = "amc-ddpg,error-allocation,netadapt,width-multiplier",
    seeds: int = 3,
    tuned: int = 3,
    episodes: int = 200,
    runtime: str = "onnx",
    threads: int = 1,
    rounds: int = 30,
    noisiest: float = NOISIEST,
    workers: int | None = None,
    finetune: bool = True,
    report_only: bool = False,
    recipe: Recipe = RECIPE,
) -> int:
    """Measure accuracy against MACs and latency, before and after fine-tuning.

    Each stage continues where it was stopped: the latency table, the searches, the fine-tuning, and
    the end-to-end timing of all networks.

    Args:
        out: The results folder.
        env: The environment's id.
        env_kwargs: Options of the environment except budget, resource and runtime.
        budgets: Shares of MACs and of latency to keep.
        agents: Names of agents, or kinds, as in `run`.
        seeds: Number of seeds of each agent.
        tuned: Number of runs of each agent and budget, around the median reward, to fine-tune.
        episodes: Evaluations that each run may spend.
        runtime: onnx, torch or compile.
        threads: Threads of the runtime.
        rounds: Number of timings of each network, in turns.
        noisiest: Largest accepted spread between a pass's quartiles, as a share of its median.
        workers: Number of parallel runs; by default, the number of cores.
        finetune: Whether to fine-tune plans.
        report_only: Whether to compute nothing, and only write the tables and pictures of what the
            folder holds, which may be a copy of a committed result.
        recipe: How to fine-tune.

    Examples:
        python -m benchmarks.pareto --out runs/pareto
        python -m benchmarks.pareto --out runs/pareto --report-only
    """
    if report_only:
        return _report(out, env)
    console = Console(stderr=True)
    kwargs, ratios = json_object(env_kwargs), _numbers(budgets)
    store = Store(out / "searches")
    store.prepare()
    task = task_of(env, kwargs)
    if any(record.run.setting.task != task.fingerprint for record in store.load()[0]):
        raise BenchmarkError(
            f"{out} holds searches of another network, weights or images: name another folder with "
            "--out, or move this one away"
        )
    workload = workload_of(engines.analysis(task), runtime, threads=threads)
    table, checked = _latency_table(workload, out, noisiest)
    console.print(f"the table is off by {_median_error(checked):.1%} in the median")

    timed = {"latency_table": str(table), "runtime": runtime}
    done = _searched(store, env, kwargs, timed, ratios, split(agents), seeds, episodes, workers)
    if not done:
        console.print("[red]some searches failed; the same command tries them again")
        return 1
    wanted = {(r, ratio) for r in ("macs", "latency") for ratio in ratios}
    found = manifest.current(store.folder, store.load()[0])
    records = chosen([run for run in found if _key(run) in wanted], tuned)
    if finetune:
        root = kwargs.get("data_root")
        jobs = _jobs(records, out / "finetuned", recipe, None if root is None else Path(root))
        if not _finetuned(jobs, workers, console):
            return 1
    outcomes = load_all(out / "finetuned") if finetune else []
    outcomes = [outcome for outcome in outcomes if outcome.recipe == recipe.described()]
    plans = {name_of(record.best.plan): record.best.plan for record in records}
    latencies = measured(
        task,
        plans,
        out / LATENCIES,
        runtime=runtime,
        threads=threads,
        rounds=rounds,
        noisiest=noisiest,
        console=console,
    )
    _write(records, outcomes, latencies, out, f"{env}, {workload.device}", checked)
    return 0


def _report(out: Path, env: str) -> int:
    """Write the report of the networks of a folder that have been timed.

    Raises:
        BenchmarkError: there are none; the message says what to do.
    """
    if not (out / LATENCIES).exists():
        raise BenchmarkError(f"{out / LATENCIES} does not exist: leave --report-only out")
    latencies, device = timed_networks(out / LATENCIES)
    records = [
        record
        for record in Store(out / "searches").load()[0]
        if name_of(record.best.plan) in latencies
    ]
    if not records:
        raise BenchmarkError(
            f"{out} holds no search whose networks were timed: leave --report-only out"
        )
    outcomes = load_all(out / "finetuned")
    device = device.rpartition(", ")[0]  # without the rounds
    _write(records, outcomes, latencies, out, f"{env}, {device}", out / CHECK)
    return 0


def _write(
    records: Sequence[Record],
    outcomes: Sequence[Outcome],
    latencies: Mapping[str, Latency],
    out: Path,
    title: str,
    checked: Path,
) -> None:
    note = (
        f"{records[0].full.test_images} test images. The latency table is off by "
        f"{_median_error(checked):.1%} in the median on {CHECKED} random plans."
    )
    write(points_of(records, outcomes, latencies), out, title, note, printer())


def _latency_table(workload: Workload, out: Path, noisiest: float) -> tuple[Path, Path]:
    """Return the files of the latency table and of its check, measured if necessary."""
    table, checked = out / "latency-table.json", out / CHECK
    if not table.exists():
        build(workload, portable=True, noisiest=noisiest).save(table)
    if not checked.exists():
        found = check(workload, LatencyTable.load(table), CHECKED, noisiest=noisiest)
        figures = {
            "device": str(workload.device),
            "plans": CHECKED,
            "predicted_ns": found.predicted.tolist(),
            "measured_ns": found.measured.tolist(),
            "median_error": float(sorted(found.errors)[CHECKED // 2]),
        }
        write_json(checked, figures)
    return table, checked


def _searched(
    store: Store,
    env: str,
    kwargs: dict[str, Any],
    timed: dict[str, Any],
    ratios: Sequence[float],
    words: Sequence[str],
    seeds: int,
    episodes: int,
    workers: int | None,
) -> bool:
    """Search under every budget of MACs and of latency; return whether all runs have finished.

    Args:
        store: folder of the runs.
        env: the environment's id.
        kwargs: its options, except the budget.
        timed: options of the latency.
        ratios: shares of each resource to keep.
        words: names of agents, or kinds.
        seeds: number of seeds of each agent.
        episodes: evaluations that each run may spend.
        workers: number of parallel runs.
    """
    console, names = Console(stderr=True), names_of(words)
    executor = LocalExecutor(work, workers or cores(), modules_in(words))
    done = True
    for resource, extra in (("macs", {}), ("latency", timed)):
        # A rule has one family of networks, which a resource only cuts off: one resource is enough.
        theirs = [name for name in names if resource == "macs" or kind_of(name) != "rule"]
        for ratio in ratios if theirs else ():
            options = kwargs | extra | {"resource": resource, "preserve_ratio": ratio}
            try:
                setting = setting_of(env, options, episodes)
            except BenchmarkError as error:
                if "infeasible" not in str(error):
                    raise
                console.print(f"[yellow]{ratio:.0%} of the {resource} is left out: {error}")
                continue
            runs = runs_of(setting, entrants_of(setting, theirs, {}), seeds)
            done &= complete(runs, store, executor, Console(quiet=True))
            console.print(f"searched: {ratio:.0%} of the {resource}")
    return done


def _jobs(
    records: Sequence[Record], folder: Path, recipe: Recipe, data_root: Path | None
) -> list[FineTuning]:
    """Return jobs for the full network and each distinct plan."""
    # A plan that several agents found is always attributed to the same one.  Ordered by seed, so
    # that an early stop leaves something for every method.
    ordered = sorted(records, key=lambda record: (record.run.seed, record.run.name))
    jobs: dict[str, FineTuning] = {}
    for record in ordered:
        for job in jobs_of([record], recipe, 1, folder, data_root=data_root):
            # The fronts need the correct images only, not the networks of about 20 MB.
            kept = FULL if job.agent == FULL else name_of(job.plan)
            jobs.setdefault(kept, replace(job, keep=False))
    return list(jobs.values())


def _finetuned(jobs: Sequence[FineTuning], workers: int | None, console: Console) -> bool:
    """Fine-tune what has no outcome yet, and return whether all succeeded."""
    Store(jobs[0].folder).prepare()
    missing = unfinished(jobs)
    executor = LocalExecutor(work_finetuning, workers or cores())
    said = ("networks", "epochs")
    return carry_out(
        missing, executor, console, lambda job, o: f"{job}: {o.after.accuracy:.2%}", said
    )


def _key(record: Record) -> tuple[str, float]:
    options = record.run.setting.options
    return options["resource"], options["preserve_ratio"]


def _median_error(checked: Path) -> float:
    return json.loads(checked.read_text(encoding="utf-8"))["median_error"]


def _numbers(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise BenchmarkError(f"--budgets must be numbers joined by commas, not {text}") from error
    if not all(0 < ratio < 1 for ratio in found):
        raise BenchmarkError(f"--budgets must lie between 0 and 1: {text}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status; 1 if something failed."""
    return run_command(pareto, "benchmarks.pareto", arguments)


if __name__ == "__main__":
    sys.exit(main())
