"""Rows of trials: what an agent came to on a context, as a Parquet file."""

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

* ``policy``: stem of the file of weights that was judged; empty of agents without one.
* ``code``: ``agents.fingerprint`` of the agent's code and weights; empty where it is not known.
* ``after N``: best relative reward of the first N evaluations; none where there were fewer.
"""

Row = Mapping[str, Any]

Key = tuple[str, str, str, int]
"""Context, agent, policy and seed: there is one row of each."""


def key(row: Row) -> Key:
    """Return what tells a row from all others."""
    return row["context"], row["agent"], row["policy"], row["seed"]


def reaches(row: Row, episodes: int) -> bool:
    """Whether a row tells all that a trial of so many evaluations would."""
    return all(row[f"after {n}"] is not None for n in AFTER if n <= episodes)


def load(path: Path) -> list[Row]:
    """Rows of a file; none where there is no file.

    Raises:
        BenchmarkError: it holds something else.
        OSError: it cannot be read.
    """
    if not path.exists():
        return []
    try:
        return list(columnar.read(path, COLUMNS))
    except ValueError as error:
        raise BenchmarkError(f"{path} holds no trials of this version: {error}") from error


def save(path: Path, rows: Iterable[Row]) -> None:
    """Write all rows, or leave the file as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columnar.write(path, COLUMNS, rows)
