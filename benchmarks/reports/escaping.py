"""Somebody else's names as plain text, wherever a report shows them.

Agents, environments, layers and notes are named by whoever made them.  A name is no markup, no
formula, no script and no escape sequence.  For HTML there is ``html.escape``, for rich's console
``rich.markup.escape``; this module has the rest.
"""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Iterable
from typing import Protocol

import rich.markup

from amc_gym._utils.names import printable

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Characters that a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection")."""


class Markdown(str):
    """A text that is Markdown already."""


def markdown_text(text: str) -> Markdown:
    """Return a text as itself in Markdown: no link, picture, emphasis, HTML or cell of its own."""
    if isinstance(text, Markdown):
        return text
    line = html.escape(printable(text), quote=False)
    # Underscores within words are none of Markdown's marks.
    line = re.sub(r"[\\`*~|]|(?<!\w)_|_(?!\w)", r"\\\g<0>", line)
    return Markdown(re.sub(r"\](?=[(\[:])|!(?=\[)", r"\\\g<0>", line))


def markdown_link(text: str, target: str) -> Markdown:
    """Return a link with that text.

    Args:
        text: anything.
        target: a URL that ``urllib.parse.quote`` made.
    """
    inner = re.sub(r"(?<!\\)([\[\]])", r"\\\1", markdown_text(text))
    return Markdown(f"[{inner}]({target})")


def markdown_code(text: str) -> Markdown:
    """Return a text between backticks, more of them than it has in a row itself; also for cells."""
    line = printable(text).replace("|", r"\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in line else ""
    return Markdown(f"{fence}{space}{line}{space}{fence}")


def plotly_text(text: str) -> str:
    """Return a text as itself in plotly's names and templates, which know tags and %{variables}."""
    return html.escape(printable(text)).replace("%{", "&#37;{")


def picture_text(text: str) -> str:
    """Return a text as itself in matplotlib's pictures, which know formulas between dollars.

    Legends leave out what begins with an underscore.
    """
    line = printable(text).replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line


def terminal_text(text: str) -> str:
    """Return a text as itself on rich's console."""
    return rich.markup.escape(printable(text))


class Writer(Protocol):
    """The writer that ``csv.writer`` returns."""

    def writerow(self, row: Iterable[object], /) -> object:
        """Write one row."""
        ...


class PlainRows:
    """Rows for a CSV file in which no text is a formula.

    Args:
        file: open for writing, or ``io.StringIO``.
    """

    def __init__(self, file: object) -> None:
        self._out: Writer = csv.writer(file, lineterminator="\n")  # pyright: ignore[reportArgumentType]

    def writerow(self, row: Iterable[object]) -> None:
        """Write one row; texts that begin as formulas do get an apostrophe before them."""
        self._out.writerow([csv_cell(value) for value in row])

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        """Write several."""
        for row in rows:
            self.writerow(row)


def csv_cell(value: object) -> object:
    """Return a cell of a CSV file: numbers as they are, texts never a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if value.startswith(FORMULA) or text.startswith(FORMULA) else text
