"""Command lines: how they run and fail, lists joined by commas, and JSON objects."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import tyro

from benchmarks.runs import BenchmarkError


def run_command(
    function: Callable[..., int], module: str, arguments: list[str] | None = None
) -> int:
    """Call a function with what the command line says; bad input is one line.

    Args:
        function: what is to be done; returns the exit status.
        module: what follows ``python -m``.
        arguments: None: those of this process.

    Returns:
        The exit status: the function's, 2 for bad input, 130 if it was interrupted.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        return tyro.cli(function, prog=f"python -m {module}", args=given)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except (BenchmarkError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def split(names: str) -> list[str]:
    """The parts of "A, B,C" that are not empty."""
    return [name.strip() for name in names.split(",") if name.strip()]


def json_object(text: str) -> dict[str, Any]:
    """The object of --env-kwargs.

    Raises:
        BenchmarkError: not JSON, or no object.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BenchmarkError(f"--env-kwargs is not JSON ({error}): {text}") from error
    if not isinstance(value, dict):
        raise BenchmarkError(f"--env-kwargs must be a JSON object, not {text}")
    return value
