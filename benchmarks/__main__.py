"""The command line: ``python -m benchmarks run``, ``report``, ``publish``, ``reproduce``, ..."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from rich.console import Console
from tyro.conf import Positional, arg

from agents import FACTORIES, GROUPS
from amc_gym.cli.console import printer
from benchmarks.arguments import executors, json_object, run_command, split
from benchmarks.filling.command import fill
from benchmarks.leaderboard.commands import (
    leaderboard,
    leaderboard_policies,
    submit,
    submit_policy,
    validate,
)
from benchmarks.networks.command import networks
from benchmarks.reproducing.command import reproduce
from benchmarks.studies.runs import BenchmarkError
from benchmarks.transfer.command import transfer
from benchmarks.zoo.command import zoo

RESULTS = Path(__file__).parent / "results"
"""Committed results."""

AGENTS = (
    f"Names of agents, joined by commas: {', '.join(FACTORIES)}; {', '.join(GROUPS)} for all of a "
    "kind, and package.module:attribute for one of your own."
)
"""Help on the option of that name."""


def run(
    env: str,
    out: Path,
    agents: Annotated[str, arg(metavar="A,B,...", help=AGENTS)] = "amc-ddpg,random,uniform",
    seeds: int = 3,
    episodes: int = 200,
    workers: int | None = None,
    ray: Annotated[tuple[str, ...] | None, arg(metavar="[ADDRESS]")] = None,
    env_kwargs: Annotated[str, arg(metavar="JSON")] = "{}",
    modules: Annotated[str, arg(metavar="A,B,...")] = "",
    tensorboard: Path | None = None,
    agent_args: Annotated[str, arg(metavar="JSON")] = "{}",
    rerun: bool = False,
) -> int:
    """Compare agents on one environment, with one JSON file for each finished run.

    Runs that the folder already holds are skipped, so that an interrupted study continues where it
    stopped.  An agent whose code, hyper-parameter file or arguments have changed counts as another
    agent and runs again.  Each run has its own process and core.  An agent is stopped when it has
    spent its evaluations; if it crashes, its finished episodes stay in a .jsonl file, which is not
    a result, and the same command tries it again.

    Args:
        env: The environment's id, such as AMC-MobileNet-v0.
        out: The results folder.
        agents: see ``AGENTS``.
        seeds: Seeds 0, 1, ... of each agent; deterministic agents run once.
        episodes: Evaluations that each run may spend.
        workers: Number of parallel runs on this machine; by default, the number of cores.
        ray: Run on a Ray cluster instead: the one at ADDRESS, or without it the one that is running
            on this machine, or else this machine alone.  See docs/clusters.md.
        env_kwargs: Options of the environment, as in '{"preserve_ratio": 0.3}'.
        modules: Modules to import first, which register agents or environments of your own.
        tensorboard: Folder for TensorBoard logs, one for each run, written during the run.
        agent_args: Arguments of the agent, as in '{"sigma": 0.3}'; with several agents, by name, as
            in '{"amc-ddpg": {"sigma": 0.3}}'.
        rerun: Repeat finished runs; a record is replaced when its run has finished.

    Examples:
        python -m benchmarks run --env AMC-MobileNet-v0 --out runs/mine
        python -m benchmarks run --env AMC-Plain20-v0 --agents rules,cma-es --seeds 10 --out runs/p
        python -m benchmarks run --env AMC-MobileNet-v0 --agents gp,my_module:Mine --out runs/m
    """
    from benchmarks.studies.execution import (
        entrants_of,
        import_modules,
        modules_in,
        setting_of,
        task_of,
        work,
    )
    from benchmarks.studies.records import Store
    from benchmarks.studies.runs import runs_of
    from benchmarks.studies.study import complete

    words = split(agents)
    extra = (*split(modules), *modules_in(words))
    import_modules(extra)
    kwargs, arguments = json_object(env_kwargs), json_object(agent_args, "--agent-args")
    make_executor = executors(workers, ray)
    if tensorboard is None:
        store = Store(out)
    else:
        from benchmarks.studies.tensorboard_logs import LoggedStore

        store = LoggedStore(out, tensorboard)
    setting = setting_of(env, kwargs, episodes)
    runs = runs_of(setting, entrants_of(setting, words, arguments), seeds)
    store.prepare()
    executor = make_executor(work, extra, lambda: (task_of(env, kwargs),))
    console = Console(stderr=True)
    return 0 if complete(runs, store, executor, console, rerun=rerun) else 1


def report(folder: Positional[Path], against: Path | None = None) -> int:
    """Report on finished runs by tables and pictures: report.md, .csv, .html and PNG files.

    Args:
        folder: The results folder, given by --out of run.
        against: Another results folder, such as committed results, to compare each agent and its
            interval with.

    Examples:
        python -m benchmarks report runs/mine
        python -m benchmarks report runs/mine --against benchmarks/results/mobilenet-digits
    """
    from benchmarks.reports.report import write

    write(folder, printer(), against)
    return 0


def publish(
    run: Positional[Path],
    name: str = "",
    to: Path = RESULTS,
    replace: bool = False,
    networks: Annotated[str, arg(metavar="A,B,...")] = "",
) -> int:
    """Copy a finished results folder to the committed ones, in compact form.

    Reports, tables, pictures and fine-tuned plans stay files; all runs become one Parquet file, and
    so do all outcomes of a fine-tuning.

    Folders with unfinished or failed runs are refused, and so are those that would change committed
    results, unless --replace is given.

    Args:
        run: The results folder, including its subfolders.
        name: Name of the committed folder, such as cifar10/plain20-50; by default, that of RUN.
        to: The folder of committed results.
        replace: Replace a whole committed folder of that name.
        networks: Files of networks in RUN that are committed, too; others are left out, because
            their plan and recipe make them again.

    Examples:
        python -m benchmarks publish runs/bench --name mobilenet-digits --replace
    """
    from benchmarks.publishing import publish as copied

    target = copied(run, name or run.resolve().name, to, replace=replace, networks=split(networks))
    console = printer()
    console.print(f"published in {target}", highlight=False, soft_wrap=True)
    console.print(f"to commit it: git add {target}", highlight=False, soft_wrap=True)
    return 0


def compare(folders: Positional[tuple[Path, ...]], out: Path, against: str = "amc-ddpg") -> int:
    """Compare agents by scores over several tasks: comparison.md, .csv and PNG files.

    Only agents that were run on every task are compared.

    Args:
        folders: Results folders, given by --out of run.
        out: Folder for the report.
        against: Agent that all others are compared with.

    Examples:
        python -m benchmarks compare runs/mobilenet runs/vgg16 --out runs/comparison
    """
    from benchmarks.comparison.report import write

    if not folders:
        raise BenchmarkError("name at least one results folder")
    write(folders, out, against, printer())
    return 0


COMMANDS = {
    "run": run,
    "report": report,
    "compare": compare,
    "publish": publish,
    "reproduce": reproduce,
    "fill": fill,
    "submit": submit,
    "validate": validate,
    "leaderboard": leaderboard,
    "submit-policy": submit_policy,
    "leaderboard-policies": leaderboard_policies,
    "networks": networks,
    "transfer": transfer,
    "zoo": zoo,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    It is 0 on success, 1 if a run failed or a plan is rejected, 2 for bad input, 130 if
    interrupted.
    """
    description = "Compare agents over seeds, report what was found, and rank submissions."
    return run_command(COMMANDS, "benchmarks", arguments, description)


if __name__ == "__main__":
    sys.exit(main())
