"""Command lines: execution and errors, lists and JSON objects, and the choice of executors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import tyro

from amc_gym._utils import interrupts
from amc_gym._utils.names import printable
from amc_gym.cli.console import CommandError, guarded
from amc_gym.cli.parsing import KINDS, described, parsed
from benchmarks.studies.runs import BenchmarkError

if TYPE_CHECKING:
    from benchmarks.studies.executor import Executor

Command = Callable[..., int]
"""Function that takes the parsed arguments and returns the exit status."""


def run_command(
    command: Command | Mapping[str, Command],
    module: str,
    arguments: list[str] | None = None,
    description: str | None = None,
) -> int:
    """Run a command with the arguments of the command line; bad input prints one line.

    Args:
        command: the command, or several by name.
        module: name after ``python -m``.
        arguments: None: those of this process.
        description: of several commands, for ``--help``, which is also shown without arguments.

    Returns:
        The exit status: the function's, 2 for bad input, 130 if interrupted.
    """
    given = sys.argv[1:] if arguments is None else arguments
    program = f"python -m {module}"
    try:
        if isinstance(command, Mapping):
            each = {name: guarded(function) for name, function in command.items()}
            return parsed(each, given, program, description or "")
        said = described(command)
        return tyro.cli(
            guarded(command), prog=program, description=said, args=given, registry=KINDS
        )
    except KeyboardInterrupt:
        print("interrupted; the same command continues from here", file=sys.stderr)
        return interrupts.leave()
    except (BenchmarkError, CommandError, ValueError, TypeError, OSError) as error:
        print(f"error: {printable(str(error), 4000)}", file=sys.stderr)
        return 2


def split(names: str) -> list[str]:
    """Return the parts of "A, B,C" that are not empty."""
    return [name.strip() for name in names.split(",") if name.strip()]


def json_object(text: str, option: str = "--env-kwargs") -> dict[str, Any]:
    """Return the JSON object of an option.

    Raises:
        BenchmarkError: it is not JSON, or not an object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(f"{option} is not JSON ({error}): {text}") from error
    if not isinstance(value, dict):
        raise BenchmarkError(f"{option} must be a JSON object, not {text}")
    return value


MakeExecutor = Callable[..., "Executor"]
"""Function (work, modules to import first, function that makes further arguments) -> executor."""


def executors(workers: int | None, ray: tuple[str, ...] | None) -> MakeExecutor:
    """Return the factory of the executor that ``--workers`` and ``--ray`` ask for.

    Further arguments are only made for a cluster: on one machine each process makes its own.

    Raises:
        BenchmarkError: the options contradict each other, or are out of range.
    """
    if ray is None:
        return _on_this_machine(workers)
    return _on_ray(ray, workers)


def _on_this_machine(workers: int | None) -> MakeExecutor:
    from amc_gym._utils.machine import cores
    from benchmarks.studies.executor import LocalExecutor

    if workers is not None and workers < 1:
        raise BenchmarkError(f"--workers must be at least 1, not {workers}")
    return lambda work, modules=(), _=tuple: LocalExecutor(work, workers or cores(), modules)


def _on_ray(address: tuple[str, ...], workers: int | None) -> MakeExecutor:
    if workers is not None:
        raise BenchmarkError(
            "--workers is for this machine: with --ray the number of parallel runs is the "
            "cluster's number of cores (set it for a node by `ray start --num-cpus N`)"
        )
    if len(address) > 1:
        raise BenchmarkError(f"--ray takes one address, not {' '.join(address)}")
    from benchmarks.studies.ray_executor import RayExecutor

    where = address[0] if address else None
    return lambda work, modules=(), common=tuple: RayExecutor(work, where, modules, common())
