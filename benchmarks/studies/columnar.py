"""Parquet files, written compactly, and read with a size limit and a schema.

This is what `amc_gym._utils.documents` does for JSON.  Only readers and writers of published
results need pyarrow.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError
from amc_gym._utils.files import write_whole
from amc_gym._utils.names import printable
from benchmarks.studies.runs import BenchmarkError

Kind = Literal["text", "integer", "real", "integers", "reals"]
"""Type of a column: one value in each row, or a list of them; every value may be missing.

A single real number has single precision, those in lists have double precision."""

Columns = Mapping[str, Kind]

LARGEST = 64 * 2**20
"""Most bytes of a file; the largest committed study has one MiB."""

MOST_UNPACKED = 2**30
"""Most bytes of a file's columns, unpacked, by its own statement."""

MOST_ROWS = 100_000

LEVEL = 11
"""Level of Brotli, its highest: files are written once and read for years."""


def write(path: Path, columns: Columns, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as a Parquet file, completely or not at all.

    Integers are stored byte by byte, all first bytes first, because higher bytes are mostly equal.

    Raises:
        BenchmarkError: pyarrow is not installed.
        OSError: the file cannot be written.
    """
    pa, pq = _pyarrow()
    types = {kind: _type(pa, kind) for kind in columns.values()}
    schema = pa.schema([pa.field(name, types[kind]) for name, kind in columns.items()])
    leaf = {"integers": ".list.element", "reals": ".list.element"}
    encodings = {
        name + leaf.get(kind, ""): "BYTE_STREAM_SPLIT" if "integer" in kind else "PLAIN"
        for name, kind in columns.items()
    }
    content = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(list(rows), schema),
        content,
        compression="brotli",
        compression_level=LEVEL,
        use_dictionary=False,
        column_encoding=encodings,
        data_page_size=LARGEST,  # similar values are compressed together
        write_statistics=False,
        write_page_checksum=True,
        store_schema=False,
    )
    return write_whole(path, content.getvalue())


def read(path: Path, columns: Columns) -> list[dict[str, Any]]:
    """Return the rows of a file that has exactly these columns.

    Raises:
        DocumentError: it is too large, damaged, not a Parquet file, or has other columns.
        BenchmarkError: pyarrow is not installed.
        OSError: it is missing or cannot be read.
    """
    pa, pq = _pyarrow()
    content = documents.read_bytes(path, LARGEST)
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        about, schema = file.metadata, file.schema_arrow
        groups = [about.row_group(i).total_byte_size for i in range(about.num_row_groups)]
        if about.num_rows > MOST_ROWS or sum(groups) > MOST_UNPACKED:
            raise DocumentError(
                f"it has more than {MOST_ROWS:,} rows or {MOST_UNPACKED:,} bytes, unpacked"
            )
        if schema.names != list(columns):
            raise DocumentError(f"its columns should be {', '.join(columns)}")
        for name, kind in columns.items():
            if not _fits(pa, schema.field(name).type, kind):
                raise DocumentError(f"its column {name} should hold {kind}")
        return file.read(use_threads=False).to_pylist()  # threads would outlive a short program
    except DocumentError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, MemoryError) as error:
        said = printable(str(error), 200) or type(error).__name__
        raise DocumentError(f"it is not a complete Parquet file: {said}") from None


def _type(pa: Any, kind: Kind) -> Any:
    simple = {"text": pa.string(), "integer": pa.int64(), "real": pa.float32()}
    lists = {"integers": pa.list_(pa.int64()), "reals": pa.list_(pa.float64())}
    return (simple | lists)[kind]


def _fits(pa: Any, found: Any, kind: Kind) -> bool:
    """Return whether a column has the type of a kind; names of list elements do not matter."""
    wanted = _type(pa, kind)
    if pa.types.is_list(wanted):
        return pa.types.is_list(found) and found.value_type == wanted.value_type
    return found == wanted


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise BenchmarkError(
            "published results are Parquet files, and need pyarrow: pip install -e '.[benchmarks]'"
        ) from error
    return pyarrow, pyarrow.parquet
