"""Command lines: how they run and fail, lists joined by commas, and JSON objects."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import tyro

from amc_gym._utils import interrupts
from amc_gym._utils.names import printable
from amc_gym.cli.console import CommandError, guarded
from benchmarks.studies.runs import BenchmarkError

Command = Callable[..., int]
"""Takes what the command line says and returns the exit status."""


def run_command(
    command: Command | Mapping[str, Command],
    module: str,
    arguments: list[str] | None = None,
    description: str | None = None,
) -> int:
    """Call a function with what the command line says; bad input is one line.

    Args:
        command: what is to be done, or several by the name that is their first argument.
        module: what follows ``python -m``.
        arguments: None: those of this process.
        description: of several commands, for ``--help``, which is what they say without arguments.

    Returns:
        The exit status: the function's, 2 for bad input, 130 if it was interrupted.
    """
    given = sys.argv[1:] if arguments is None else arguments
    program = f"python -m {module}"
    try:
        if isinstance(command, Mapping):
            return tyro.extras.subcommand_cli_from_dict(
                {name: guarded(each) for name, each in command.items()},
                prog=program,
                description=description,
                args=given or ["--help"],
            )
        return tyro.cli(guarded(command), prog=program, args=given)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return interrupts.leave()
    except (BenchmarkError, CommandError, ValueError, TypeError, OSError) as error:
        print(f"error: {printable(str(error), 4000)}", file=sys.stderr)
        return 2


def split(names: str) -> list[str]:
    """Return the parts of "A, B,C" that are not empty."""
    return [name.strip() for name in names.split(",") if name.strip()]


def json_object(text: str, option: str = "--env-kwargs") -> dict[str, Any]:
    """Return the object that an option says.

    Raises:
        BenchmarkError: not JSON, or no object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(f"{option} is not JSON ({error}): {text}") from error
    if not isinstance(value, dict):
        raise BenchmarkError(f"{option} must be a JSON object, not {text}")
    return value
