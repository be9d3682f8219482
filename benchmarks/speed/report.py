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
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path.with_suffix(".md"), f"# {title}\n\n{text}\n")
    document = {"machine": machine(), "versions": versions(), **figures}
    write_json(path.with_suffix(".json"), document)
