"""The command line: ``python -m benchmarks.finetuning``."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from tyro.conf import Positional

import amc_gym
from amc_gym.cli.console import printer
from amc_gym.compression.recovery import chain
from amc_gym.training.recipe import Recipe
from amc_gym.workflows.teachers import bundled_teacher
from benchmarks.arguments import run_command, split
from benchmarks.finetuning import report
from benchmarks.finetuning.jobs import RECIPE, FineTuning, jobs_of, unfinished, work
from benchmarks.finetuning.outcomes import Outcome
from benchmarks.machine import cores
from benchmarks.studies import manifest
from benchmarks.studies.execution import import_modules
from benchmarks.studies.executor import LocalExecutor
from benchmarks.studies.progress import carry_out
from benchmarks.studies.records import Store
from benchmarks.studies.runs import BenchmarkError


def finetune(
    folder: Positional[Path],
    agents: str = "",
    seeds: int = 3,
    searches: int = 1,
    recovery: str | None = None,
    teacher: str | None = None,
    workers: int | None = None,
    out: Path | None = None,
    data_root: Path | None = None,
    weights: Path | None = None,
    modules: str = "",
    recipe: Recipe = RECIPE,
) -> int:
    """Fine-tune the plans of a study and the full network alike, and evaluate them on test images.

    For each agent the run with the median reward is used.  Outcomes that OUT already holds are not
    computed again, and an interrupted one continues after its last epoch.

    Args:
        folder: A results folder of `python -m benchmarks run`, with runs of one setting.
        agents: Names of agents, joined by commas; all by default.
        seeds: Fine-tuning seeds for each plan.
        searches: Number of runs of each agent, around its median.
        recovery: Recovery of the weights before fine-tuning, such as sequential+bn; by default as
            in the search.
        teacher: Registered network whose bundled weights for the same data set teach, such as
            ResNet56; by default, the original network.
        workers: Number of parallel trainings; by default, the number of cores.
        out: The folder of the outcomes, one for each recipe; by default FOLDER/finetuned.
        data_root: Folder of data that is read from disk, instead of AMC_DATA_ROOT.
        weights: File of the original network's weights, if it is no longer where it was in the
            search.
        modules: Modules to import first, which register agents of your own and say which of them
            are rules.
        recipe: How to train; with `--recipe.shrink 10` plans are shrunk in the first 10 epochs,
            and the full network is trained for as many epochs in total.

    Examples:
        python -m benchmarks.finetuning runs/mine --agents amc-ddpg,uniform --recipe.epochs 10
    """
    import_modules(split(modules))
    console = Console(stderr=True)
    records = manifest.current(folder, Store(folder).load()[0])
    wanted = set(split(agents))
    if missing := wanted - {record.run.agent for record in records}:
        raise BenchmarkError(f"{folder} has no finished run of {', '.join(sorted(missing))}")
    check_recovery(recovery, recipe)
    if teacher is not None and not recipe.distillation:
        raise BenchmarkError("--teacher needs --recipe.distillation above 0")
    records = [r for r in records if not wanted or r.run.agent in wanted]
    if not records:
        raise BenchmarkError(f"no finished runs in {folder}: first use python -m benchmarks run")
    if len({record.run.setting for record in records}) > 1:
        raise BenchmarkError(f"{folder} holds runs of several settings: give each its own folder")
    for name, value in (("seeds", seeds), ("searches", searches), ("workers", workers or 1)):
        if value < 1:
            raise BenchmarkError(f"--{name} must be at least 1, not {value}")
    out = out or folder / "finetuned"
    jobs = jobs_of(records, recipe, seeds, out, searches, recovery, data_root, teacher, weights)
    missing_jobs = unfinished(jobs)
    if missing_jobs:  # what no job can have is refused here, once
        task = amc_gym.task_of(records[0].best.plan, data_root, weights=weights)
        if teacher is not None:
            bundled_teacher(task, teacher)
    Store(out).prepare()
    for job in set(jobs).difference(missing_jobs):  # left over if a kill came just before this
        job.checkpoint.unlink(missing_ok=True)
    if len(missing_jobs) < len(jobs):
        console.print(f"{len(jobs) - len(missing_jobs)} of {len(jobs)} are finished already")
    executor = LocalExecutor(work, workers or cores())
    done = carry_out(missing_jobs, executor, console, _said, ("networks", "epochs"))
    report.write(out, printer())
    return 0 if done else 1


def check_recovery(recovery: str | None, recipe: Recipe) -> None:
    """Refuse a recovery that there is none of, or that shrinking leaves nothing to do.

    Raises:
        ValueError: the recovery is unknown.
        BenchmarkError: the recipe shrinks what is pruned before it is cut off.
    """
    if recovery is not None:
        chain(recovery)
        if recipe.shrink:
            raise BenchmarkError("--recovery is not used with --recipe.shrink: leave it out")


def _said(job: FineTuning, outcome: Outcome) -> str:
    before, after = outcome.before.accuracy, outcome.after.accuracy
    return escape(f"{job}: {before:.2%} before, {after:.2%} fine-tuned, {outcome.seconds:.0f} s")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status; 1 if something failed."""
    return run_command(finetune, "benchmarks.finetuning", arguments)


if __name__ == "__main__":
    sys.exit(main())
