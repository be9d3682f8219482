"""The command line: ``python -m benchmarks.search_signal``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from amc_gym.cli.console import printer
from amc_gym.compression.ranking.importance import IMPORTANCES
from amc_gym.training.recipe import Recipe
from amc_gym.zoo.resolving import resolve
from benchmarks.arguments import run_command
from benchmarks.finetuning import jobs as finetuning
from benchmarks.finetuning.outcomes import Outcome, load_all
from benchmarks.machine import cores
from benchmarks.search_signal import judgements, report
from benchmarks.search_signal.judgements import RECOVERIES, SEPARATORS, Signal
from benchmarks.search_signal.plans import FILE, drawn
from benchmarks.studies.executor import LocalExecutor
from benchmarks.studies.progress import carry_out
from benchmarks.studies.records import Store
from benchmarks.studies.runs import BenchmarkError

BRIEF = replace(finetuning.RECIPE, epochs=2)


def study(
    out: Path,
    network: str = "Plain20",
    dataset: str = "cifar10",
    plans: int = 60,
    ratios: tuple[float, float] = (0.3, 0.7),
    seed: int = 0,
    importances: tuple[str, ...] = tuple(IMPORTANCES),
    recoveries: tuple[str, ...] = RECOVERIES,
    workers: int | None = None,
    recipe: Recipe = BRIEF,
) -> int:
    """Evaluate random plans with every ranking and recovery, fine-tune them, and correlate.

    Results that OUT already holds are not computed again.  Another recipe with the same OUT
    fine-tunes the same plans again and keeps both; the report is on the recipe of the call.

    Args:
        out: The results folder.
        network: A registered network with bundled weights.
        dataset: Its data set; AMC_DATA_ROOT names the folder of those that are read from disk.
        plans: Number of plans.
        ratios: Smallest and largest share of the MACs to keep.
        seed: Seed of the plans.
        importances: Rankings to evaluate with.
        recoveries: Recoveries to evaluate with.
        workers: Number of parallel jobs; by default, the number of cores.
        recipe: Recipe of the fine-tuning.

    Examples:
        python -m benchmarks.search_signal --out runs/signal --plans 20
    """
    if plans < 6:
        raise BenchmarkError(f"--plans must be at least 6, not {plans}")
    if not 0 < ratios[0] < ratios[1] <= 1:
        raise BenchmarkError(f"--ratios must ascend within (0, 1], not {ratios}")
    console = Console(stderr=True)
    Store(out).prepare()
    task = resolve(network, dataset=dataset)
    with console.status("drawing plans"):
        chosen = drawn(out / FILE, task, plans, ratios, seed)
    folder = out / "finetuned"
    Store(folder).prepare()
    tuning = [
        finetuning.FineTuning(
            agent=f"plan {number:02d}",
            search_seed=seed,
            plan=one.plan,
            macs_ratio=one.macs_ratio,
            params_ratio=one.params_ratio,
            recipe=recipe,
            folder=folder,
            separators=SEPARATORS,
        )
        for number, one in enumerate(chosen)
    ]
    judging = [
        judgements.Judgement(Signal(importance, recovery), tuple(one.plan for one in chosen), out)
        for importance in importances
        for recovery in recoveries
    ]
    executor = LocalExecutor(judgements.work, workers or cores())
    missing = [job for job in judging if len(job.finished) < plans]
    done = carry_out(missing, executor, console, _judged, ("signals", "plans"))
    executor = LocalExecutor(finetuning.work, workers or cores())
    untuned = finetuning.unfinished(tuning)
    done &= carry_out(untuned, executor, console, _tuned, ("plans", "epochs"))
    if not done:
        return 1
    outcomes = {outcome.name: outcome for outcome in load_all(folder)}
    accuracies = {job.signal: job.finished for job in judging}
    tuned = [outcomes[job.name] for job in tuning]
    report.write(out, accuracies, tuned, f"{network} on {dataset}", printer())
    return 0


def _judged(job: judgements.Judgement, accuracies: list[float]) -> str:
    return f"{job}: {sum(accuracies) / len(accuracies):.2%} on average"


def _tuned(job: finetuning.FineTuning, outcome: Outcome) -> str:
    before, after = outcome.before.accuracy, outcome.after.accuracy
    return f"{job.agent}: {before:.2%} before, {after:.2%} fine-tuned, {outcome.seconds:.0f} s"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status; 1 if something failed."""
    return run_command(study, "benchmarks.search_signal", arguments)


if __name__ == "__main__":
    sys.exit(main())
