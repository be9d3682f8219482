"""Tables of results: Markdown for files, rich's for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> list[str]:
    """The lines of a Markdown table.

    Args:
        header: names of the columns.
        rows: cells, as many as there are columns.
        words: so many columns, from the left, are flush left; the others hold numbers.
    """
    marks = "|" + ":--|" * words + "--:|" * (len(header) - words)
    return [_line(header), marks, *map(_line, rows)]


def terminal(
    title: str, header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1
) -> Table:
    """The same for rich's console, below its title."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for i, name in enumerate(header):
        # A figure that does not fit goes on in the next line: half of an interval says nothing.
        table.add_column(name, justify="left" if i < words else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
