"""Rows of the table of networks, in a Parquet file that grows network by network."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from amc_gym._utils.files import write_whole

SCHEMA = pa.schema(
    [
        ("network", pa.string()),
        ("units", pa.int32()),
        ("fixed", pa.int32()),
        ("seconds", pa.float64()),
        ("smallest", pa.float64()),
        ("built", pa.float64()),
        ("verdict", pa.string()),
        ("why", pa.string()),
        ("peer_seconds", pa.float64()),
        ("peer_verdict", pa.string()),
        ("peer_why", pa.string()),
    ]
)
NAMES = tuple(SCHEMA.names)

LONGEST = 160
"""Most characters of a stored reason."""


def load(path: Path) -> dict[str, dict[str, Any]]:
    """Return rows by network; none without a file."""
    if not path.exists():
        return {}
    return {row["network"]: row for row in parquet.read_table(path).to_pylist()}


def save(path: Path, rows: dict[str, dict[str, Any]]) -> None:
    """Write all rows, or leave the file unchanged."""
    cut = [{key: _cut(row.get(key)) for key in NAMES} for row in rows.values()]
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(cut, SCHEMA), buffer, compression="zstd")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def _cut(value: Any) -> Any:
    return value[:LONGEST] if isinstance(value, str) else value
