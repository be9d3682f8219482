"""``python -m benchmarks transfer``: train a policy on some networks and evaluate it on others."""

from __future__ import annotations

from glob import glob
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.console import Console
from tyro.conf import Positional, arg

from amc_gym._utils.names import choose
from amc_gym.cli.console import printer
from benchmarks.arguments import MakeExecutor, executors, json_object, split
from benchmarks.studies.runs import BenchmarkError

Step = Literal["log", "train", "run", "report"]
Learner = Literal["amc-policy", "sb3-sac", "sb3-td3", "sb3-ddpg", "sb3-ppo"]


def transfer(
    step: Annotated[Positional[Step], arg(metavar="STEP")],
    out: Path = Path("runs/transfer"),
    train: str = "zoo-train-v1",
    test: Annotated[str, arg(metavar="A,B,...")] = "zoo-test-v1,cifar10-v1",
    plans: int = 100,
    learner: Learner = "amc-policy",
    trainings: int = 1,
    networks: int | None = None,
    members: int = 5,
    episodes: int = 1500,
    hyperparams: Path | None = None,
    learner_args: Annotated[str, arg(metavar="JSON")] = "{}",
    agents: Annotated[str, arg(metavar="A=N,...")] = (
        "uniform=1,error-allocation=40,loss-allocation=40,random-shares=100,gp=40,cma-es=400,"
        "amc-policy=40"
    ),
    seeds: int = 3,
    groups: Annotated[str, arg(metavar="A,B,...")] = "members,family,cifar10",
    budgets: int | None = None,
    weights: Annotated[tuple[str, ...], arg(metavar="A,B,...")] = (),
    workers: int | None = None,
    ray: Annotated[tuple[str, ...] | None, arg(metavar="[ADDRESS]")] = None,
) -> int:
    """Train a policy on plans of many networks, and evaluate it on networks that it has not seen.

    The steps, in order; each one continues where it was stopped:

    log: evaluate plans on every context of the training suite.
    train: fit an ensemble to them, or let Stable-Baselines3 learn on the suite, into
    OUT/LEARNER.safetensors.
    run: run agents on every context of the test suites, into OUT/trials.parquet.
    report: write tables for each group of contexts, pictures, report.md and report.html into OUT.

    Args:
        step: Step to carry out.
        out: Folder of all files.
        train: Suite to train on.
        test: Suites to evaluate on.
        plans: Plans of each context to train on.
        learner: Learner: amc-policy learns from evaluated plans, the others from episodes.
        trainings: Number of trainings, each with another seed; the files of several are called
            LEARNER-s0, LEARNER-s1 and so on.
        networks: Train on this many networks of the suite, drawn by the seed, and say so in the
            name of the file (LEARNER-n20); by default, train on all.
        members: Networks in the ensemble of amc-policy.
        episodes: Number of episodes that the other learners are trained for.
        hyperparams: Folder of their hyperparameters in rl_zoo3's format, sac.yml and so on; by
            default agents/hyperparams/suite.
        learner_args: Hyperparameters to override, as in '{"learning_starts": 500}'.
        agents: Agents and the number of evaluations that each may spend.
        seeds: Number of seeds of each agent that is not deterministic.
        groups: Groups of contexts of the test suites; "budgets" is known networks at other budgets.
        budgets: Largest number of budgets of each network, the middle one first; by default all.
        weights: Files of policies to evaluate instead of those that come with the agents; asterisks
            match anything, as in 'runs/transfer/*-s*.safetensors'.  Trainings of one policy are
            called NAME-s0, NAME-s1 and so on, and NAME-n20-s0 those on 20 networks; intervals are
            over networks and trainings.
        workers: Number of networks, contexts or trainings to run at a time on this machine, each in
            its own process; by default, the number of cores.
        ray: Run on a Ray cluster instead: the one at ADDRESS, or without ADDRESS the one that is
            running on this machine, or else a new one on this machine alone.  See docs/clusters.md.

    Examples:
        python -m benchmarks transfer log
        python -m benchmarks transfer train --learner amc-policy --trainings 3
        python -m benchmarks transfer run --weights runs/transfer/policies/*.safetensors
    """
    if step == "log":
        return _log(train, plans, out / "logs", executors(workers, ray))
    if step == "train":
        size = members if learner == "amc-policy" else episodes
        changes = json_object(learner_args, "--learner-args")
        given = (train, networks, out, size, trainings > 1, hyperparams, changes)
        return _train(learner, trainings, given, executors(workers, ray))
    if step == "run":
        contexts = _contexts(split(test), split(groups), budgets)
        return _run(
            contexts, split(agents), seeds, split(",".join(weights)), out, executors(workers, ray)
        )
    from benchmarks.transfer.report import write

    write(out, printer())
    return 0


def _log(suite: str, plans: int, folder: Path, make_executor: MakeExecutor) -> int:
    from benchmarks.transfer import evaluations

    jobs = evaluations.jobs_of(suite, plans, folder)
    executor = make_executor(evaluations.work)
    return 0 if evaluations.run(jobs, executor, Console(stderr=True)) else 1


def _train(
    learner: Learner, trainings: int, given: tuple[Any, ...], make_executor: MakeExecutor
) -> int:
    from benchmarks.transfer import learners

    if trainings < 1:
        raise BenchmarkError(f"--trainings must be at least 1, not {trainings}")
    wanted = [learners.Training(learner, seed, *given) for seed in range(trainings)]
    return 0 if learners.run(wanted, make_executor(learners.work), Console(stderr=True)) else 1


def _contexts(test: list[str], groups: list[str], budgets: int | None) -> list:
    """Return contexts of these groups of the test suites, at most ``budgets`` of each network."""
    from amc_gym.suites.suite import suite_of
    from benchmarks.transfer.trials import middle_budgets

    known = [context for name in test for context in suite_of(name).contexts]
    for group in groups:
        choose("group of --test", group, {str(context.group) for context in known})
    return middle_budgets([context for context in known if context.group in groups], budgets)


def _run(
    contexts: list,
    agents: list[str],
    seeds: int,
    weights: list[str],
    out: Path,
    make_executor: MakeExecutor,
) -> int:
    from benchmarks.studies.execution import modules_in
    from benchmarks.transfer import trials

    spent = dict(map(_budget, agents))
    executor = make_executor(trials.work, modules_in(spent))
    wanted = trials.trials_of(spent, seeds, [file for each in weights for file in _files(each)])
    file, progress = out / "trials.parquet", Console(stderr=True)
    return 0 if trials.run(contexts, wanted, file, executor, progress) else 1


def _files(pattern: str) -> list[Path]:
    """Return the files that a name or a pattern with asterisks matches, in order.

    Raises:
        BenchmarkError: no file matches.
    """
    if "*" not in pattern:
        return [Path(pattern)]
    found = sorted(Path(each) for each in glob(pattern))
    if not found:
        raise BenchmarkError(f"--weights: no file matches {pattern}; make one with transfer train")
    return found


def _budget(words: str) -> tuple[str, int]:
    """Split "AGENT=N" into the agent's name and the number of evaluations."""
    from benchmarks.studies.execution import names_of

    agent, _, evaluations = words.rpartition("=")
    if not evaluations.isdecimal() or int(evaluations) < 1:
        raise BenchmarkError(f"--agents takes AGENT=EVALUATIONS, as in cma-es=400, not {words!r}")
    (name,) = names_of([agent])
    return name, int(evaluations)
