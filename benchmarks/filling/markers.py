"""Markers in Markdown: text between two comments is filled in by a program."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence

from benchmarks.studies.runs import BenchmarkError

BEGIN = re.compile(r"<!-- table: (?P<words>\S.*?) -->")
END = "<!-- end of table -->"

Made = Callable[[Sequence[str]], Sequence[str]]
"""Function: words of a marker -> lines of the table; words with spaces are quoted."""


def filled(text: str, made: Made) -> str:
    """Return a page with all of its tables made anew.

    Args:
        text: Markdown; each marker has a line of its own.
        made: makes a table.

    Raises:
        BenchmarkError: a begin marker has no end, or an end has no begin.
    """
    lines: list[str] = []
    words: str | None = None
    for line in text.splitlines():
        begin = BEGIN.fullmatch(line)
        if (begin is not None and words is not None) or (line == END and words is None):
            raise BenchmarkError(f"{line!r} is out of place: each table needs a begin and an end")
        if line == END:
            lines += made(shlex.split(str(words)))
            words = None
        if words is None:
            lines.append(line)
        if begin is not None:
            words = begin["words"]
    if words is not None:
        raise BenchmarkError(f"the table {words!r} has no {END!r}: add it")
    return "\n".join(lines) + "\n"
