"""How a benchmark of one table is told: on the terminal, and as Markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from amc_gym._utils.files import write_json, write_whole
from benchmarks.machine import machine, versions


def tell(
    title: str, table: Sequence[str], where: str, path: Path | None, figures: dict[str, Any]
) -> None:
    """Print a table, and write it if it is wanted as a file.

    Args:
        title: over the table in the file.
        table: its lines, see ``benchmarks.reports.tables.markdown``.
        where: what was measured on what, in a sentence.
        path: the files' without its suffix; None writes nothing.
        figures: what the JSON file holds beside machine and versions.
    """
    text = "\n".join([*table, "", where])
    Console(soft_wrap=True).print(text, markup=False, highlight=False)
    if path is not None:
        keep(path, title, text.splitlines(), figures)


def keep(path: Path, title: str, lines: Sequence[str], figures: dict[str, Any]) -> None:
    """Write a report as Markdown and JSON.

    Args:
        path: the files' without its suffix.
        title: over the lines.
        lines: of the Markdown.
        figures: what the JSON file holds beside machine and versions.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path.with_suffix(".md"), "\n".join([f"# {title}", "", *lines, ""]))
    document = {"machine": machine(), "versions": versions(), **figures}
    write_json(path.with_suffix(".json"), document)
