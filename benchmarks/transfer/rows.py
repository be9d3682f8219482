"""Rows of trials: the outcome of an agent on a context, in a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.studies import columnar
from benchmarks.studies.runs import BenchmarkError

AFTER = (1, 4, 10, 16, 40, 100, 400)
"""Evaluations after which the best reward so far is kept."""

COLUMNS: columnar.Columns = {
    "context": "text",
    "network": "text",
    "group": "text",
    "agent": "text",
    "policy": "text",
    "code": "text",
    "seed": "integer",
    **{f"after {n}": "real" for n in AFTER},
    "seconds": "real",
}
"""Column -> its kind.

* ``policy``: stem of the weight file that was evaluated; empty for agents without one.
* ``code``: ``agents.fingerprint`` of the agent's code and weights; empty where it is unknown.
* ``after N``: best relative reward of the first N evaluations; none where there were fewer.
"""

Row = Mapping[str, Any]

Key = tuple[str, str, str, int]
"""Context, agent, policy and seed, which identify a row."""


def key(row: Row) -> Key:
    """Return what identifies a row."""
    return row["context"], row["agent"], row["policy"], row["seed"]


def reaches(row: Row, episodes: int) -> bool:
    """Return whether a row covers a trial of this many evaluations."""
    return all(row[f"after {n}"] is not None for n in AFTER if n <= episodes)


def load(path: Path) -> list[Row]:
    """Read the rows of a file; none if there is no file.

    Raises:
        BenchmarkError: the file holds something else.
        OSError: the file cannot be read.
    """
    if not path.exists():
        return []
    try:
        return list(columnar.read(path, COLUMNS))
    except ValueError as error:
        raise BenchmarkError(f"{path} holds no trials of this version: {error}") from error


def save(path: Path, rows: Iterable[Row]) -> None:
    """Write all rows; if this fails, the file stays as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columnar.write(path, COLUMNS, rows)
