"""Output of a benchmark with one table: on the terminal, and as Markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from amc_gym._utils.files import write_json, write_whole
from benchmarks.machine import machine, versions


def report_table(
    title: str, table: Sequence[str], where: str, path: Path | None, figures: dict[str, Any]
) -> None:
    """Print a table, and write it to a file if requested.

    Args:
        title: title of the table in the file.
        table: its lines, see ``benchmarks.reports.tables.markdown``.
        where: a sentence that says what was measured on which machine.
        path: path of the files without suffix; None writes nothing.
        figures: entries of the JSON file besides machine and versions.
    """
    text = "\n".join([*table, "", where])
    Console(soft_wrap=True).print(text, markup=False, highlight=False)
    if path is not None:
        keep(path, title, text.splitlines(), figures)


def keep(path: Path, title: str, lines: Sequence[str], figures: dict[str, Any]) -> None:
    """Write a report as Markdown and JSON.

    Args:
        path: path of the files without suffix.
        title: title above the lines.
        lines: lines of the Markdown.
        figures: entries of the JSON file besides machine and versions.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path.with_suffix(".md"), "\n".join([f"# {title}", "", *lines, ""]))
    document = {"machine": machine(), "versions": versions(), **figures}
    write_json(path.with_suffix(".json"), document)
