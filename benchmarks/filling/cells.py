"""Cells of tables, made from rows of committed CSV files."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from agents import kind_of
from benchmarks.reproducing.configs import CONFIGS, Study, load, names
from benchmarks.studies.runs import BenchmarkError

RESULTS = Path(__file__).parents[1] / "results"
FULL = "full network"

Row = Mapping[str, str]
"""A row of a CSV file: column -> text."""


def table_of(folder: str, name: str) -> list[dict[str, str]]:
    """Read a CSV file of a folder of committed results."""
    return rows_of(RESULTS / folder / name)


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file: column -> text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def percent(text: str, digits: int = 1) -> str:
    """Format a share in percent; an empty text stays empty."""
    return f"{100 * float(text):.{digits}f}" if text else ""


def whole(text: str) -> str:
    """Format a number without decimals; an empty text stays empty."""
    return f"{float(text):.0f}" if text else ""


def interval(row: Row, name: str, scale: float = 100, digits: int = 1) -> str:
    """Format a value and its interval, if there is one: "89.8 [88.7, 90.8]"."""
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    shown = [f"{scale * float(text):.{digits}f}" for text in (value, low, high) if text]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]" if low else shown[0]


def difference(row: Row) -> str:
    """Format a signed difference with its interval in points; empty if there is none."""
    if not row["difference"]:
        return ""
    value, low, high = (f"{100 * float(row[name]):+.2f}" for name in ("difference", "low", "high"))
    return f"{value} [{low}, {high}]"


def first_searched(path: Path) -> Row:
    """Return the first row of a fine-tuned study that does not belong to a rule."""
    return next(
        row for row in rows_of(path) if row["agent"] != FULL and kind_of(row["agent"]) != "rule"
    )


def study_of(folder: str) -> Study:
    """Return the study whose results are in a folder or its parents.

    Raises:
        BenchmarkError: there is no such study.
    """
    found = next(
        (s for s in map(load, names()) if s.result and f"{folder}/".startswith(f"{s.result}/")),
        None,
    )
    if found is None:
        raise BenchmarkError(f"no study of {CONFIGS} has its results in {folder}")
    return found
