"""The command line: ``python -m benchmarks run`` and ``python -m benchmarks report``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from tyro.conf import Positional, arg

from benchmarks.runs import BenchmarkError


def run(
    env: str,
    out: Path,
    agents: Annotated[str, arg(metavar="A,B,...")] = "amc-ddpg,random,uniform",
    seeds: int = 3,
    episodes: int = 200,
    workers: int | None = None,
    env_kwargs: Annotated[str, arg(metavar="JSON")] = "{}",
    modules: Annotated[str, arg(metavar="A,B,...")] = "",
) -> int:
    """Compare agents on one environment: one JSON file per finished run.

    Runs that the folder already holds are skipped, so a study that was interrupted goes on where
    it stopped.  Each run has a process and one core of its own.

    Args:
        env: The environment's id, such as AMC-MobileNet-v0.
        out: The results folder.
        agents: Names of agents, joined by commas.
        seeds: Seeds 0, 1, ... of each agent; deterministic rules run once.
        episodes: Evaluations that each run may spend.
        workers: Runs at a time; by default, as many as there are cores.
        env_kwargs: Options of the environment, as in '{"preserve_ratio": 0.3}'.
        modules: Modules to import first, which register agents or environments of your own.
    """
    from agents import FACTORIES
    from amc_gym.names import choose
    from benchmarks.execution import import_modules, setting_of, work
    from benchmarks.executor import LocalExecutor
    from benchmarks.machine import cores
    from benchmarks.records import Store
    from benchmarks.runs import runs_of
    from benchmarks.study import complete

    extra = tuple(_split(modules))
    import_modules(extra)
    names = list(dict.fromkeys(_split(agents)))
    if not names:
        raise BenchmarkError("--agents names no agent")
    for name in names:
        try:
            choose("agent", name, FACTORIES)
        except ValueError as error:
            raise BenchmarkError(str(error)) from error
    if workers is not None and workers < 1:
        raise BenchmarkError(f"--workers must be at least 1, not {workers}")
    store = Store(out)
    store.prepare()
    runs = runs_of(setting_of(env, _object(env_kwargs), episodes), names, seeds)
    executor = LocalExecutor(work, workers or cores(), extra)
    console = Console(stderr=True)
    try:
        return 0 if complete(runs, store, executor, console) else 1
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here")
        return 130


def report(folder: Positional[Path]) -> int:
    """Tables and pictures of the runs that are finished: report.md, report.csv and PNG files.

    Args:
        folder: The results folder, as it was named by --out.
    """
    from benchmarks.report import write

    write(folder, Console())
    return 0


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BenchmarkError(f"--env-kwargs is not JSON ({error}): {text}") from error
    if not isinstance(value, dict):
        raise BenchmarkError(f"--env-kwargs must be a JSON object, not {text}")
    return value


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 (a run failed), 2 (bad input)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return tyro.extras.subcommand_cli_from_dict(
            {"run": run, "report": report},
            prog="python -m benchmarks",
            description="Compare agents over seeds, and report what was found.",
            args=arguments or ["--help"],
        )
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
