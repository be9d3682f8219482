"""Tables of results: Markdown for files, rich's for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from amc_gym._utils.files import write_whole
from benchmarks.reports.escaping import markdown_text, terminal_text


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> list[str]:
    """Return the lines of a Markdown table.

    Args:
        header: names of the columns.
        rows: cells, as many as there are columns; plain text, except ``Markdown``.
        words: number of columns, from the left, that are left-aligned; the others hold numbers.
    """
    marks = "|" + ":--|" * words + "--:|" * (len(header) - words)
    return [_line(header), marks, *map(_line, rows)]


def terminal(
    title: str, header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1
) -> Table:
    """Return a table for rich's console, below its title; cells are plain text."""
    table = Table(title=terminal_text(title), title_justify="left", title_style="bold")
    for i, name in enumerate(header):
        # A figure that does not fit is wrapped, because half of an interval would be useless.
        table.add_column(
            terminal_text(name), justify="left" if i < words else "right", overflow="fold"
        )
    for row in rows:
        table.add_row(*map(terminal_text, row))
    return table


def write_page(
    path: Path,
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    notes: str,
    *,
    picture: str,
    console: Console,
    words: int = 1,
) -> None:
    """Write a page that is one table, its notes and a picture, and show it on ``console``.

    Args:
        path: of the Markdown file.
        title: of the page.
        header: as in ``markdown``.
        rows: as in ``markdown``.
        notes: one paragraph.
        picture: Markdown of an image that lies beside the page.
        console: console that shows table and notes.
        words: as in ``markdown``.
    """
    console.print(terminal(title, header, rows, words))
    console.print(notes, highlight=False)
    lines = [f"# {title}", "", *markdown(header, rows, words), "", notes, "", picture]
    write_whole(path, "\n".join(lines) + "\n")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(markdown_text, cells))} |"
