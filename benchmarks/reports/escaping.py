"""Escaping of names that others have chosen, wherever a report shows them.

Agents, environments, layers and notes are named by their authors.  A name must not act as markup,
formula, script or escape sequence.  HTML uses ``html.escape``, rich's console
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
"""Characters with which a formula begins in a spreadsheet (OWASP, "CSV Injection")."""


class Markdown(str):
    """Text that is Markdown already."""


def markdown_text(text: str) -> Markdown:
    """Escape text for Markdown: no links, pictures, emphasis, HTML or cell borders."""
    if isinstance(text, Markdown):
        return text
    line = html.escape(printable(text), quote=False)
    # Underscores within words are not markup in Markdown.
    line = re.sub(r"[\\`*~|]|(?<!\w)_|_(?!\w)", r"\\\g<0>", line)
    return Markdown(re.sub(r"\](?=[(\[:])|!(?=\[)", r"\\\g<0>", line))


def markdown_link(text: str, target: str) -> Markdown:
    """Return a link with that text.

    Args:
        text: any text.
        target: a URL that ``urllib.parse.quote`` made.
    """
    inner = re.sub(r"(?<!\\)([\[\]])", r"\\\1", markdown_text(text))
    return Markdown(f"[{inner}]({target})")


def markdown_code(text: str) -> Markdown:
    """Return text as Markdown code, in more backticks than it contains in a row; also for cells."""
    line = printable(text).replace("|", r"\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in line else ""
    return Markdown(f"{fence}{space}{line}{space}{fence}")


def plotly_text(text: str) -> str:
    """Escape text for plotly's names and templates, which have tags and %{variables}."""
    return html.escape(printable(text)).replace("%{", "&#37;{")


def picture_text(text: str) -> str:
    """Escape text for matplotlib, which reads formulas between dollar signs.

    Legends also leave out names that begin with an underscore.
    """
    line = printable(text).replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line


def terminal_text(text: str) -> str:
    """Escape text for rich's console."""
    return rich.markup.escape(printable(text))


class Writer(Protocol):
    """The writer that ``csv.writer`` returns."""

    def writerow(self, row: Iterable[object], /) -> object:
        """Write one row."""
        ...


class PlainRows:
    """A CSV writer in whose rows no text is a formula.

    Args:
        file: open for writing, or ``io.StringIO``.
    """

    def __init__(self, file: object) -> None:
        self._out: Writer = csv.writer(file, lineterminator="\n")  # pyright: ignore[reportArgumentType]

    def writerow(self, row: Iterable[object]) -> None:
        """Write one row; text that begins like a formula gets a leading apostrophe."""
        self._out.writerow([csv_cell(value) for value in row])

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        """Write several rows."""
        for row in rows:
            self.writerow(row)


def csv_cell(value: object) -> object:
    """Return a cell of a CSV file: numbers unchanged, text never a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if value.startswith(FORMULA) or text.startswith(FORMULA) else text
