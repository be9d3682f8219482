"""What command lines say in one word: lists joined by commas, and JSON objects."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.runs import BenchmarkError


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
