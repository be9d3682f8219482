"""Places in Markdown that are filled in: what is between two comments is not written by hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence

from benchmarks.studies.runs import BenchmarkError

BEGIN = re.compile(r"<!-- table: (?P<words>\S.*?) -->")
END = "<!-- end of table -->"

Made = Callable[[Sequence[str]], Sequence[str]]
"""Words of a marker -> lines of the table; words with blanks are in quotation marks."""


def filled(text: str, made: Made) -> str:
    """Return a page with each of its tables made anew.

    Args:
        text: Markdown; a marker stands alone in its line.
        made: makes a table.

    Raises:
        BenchmarkError: a marker lacks its end, or an end its marker.
    """
    lines: list[str] = []
    words: str | None = None
    for line in text.splitlines():
        begin = BEGIN.fullmatch(line)
        if (begin is not None and words is not None) or (line == END and words is None):
            raise BenchmarkError(f"{line!r} is out of place: each table has a begin and an end")
        if line == END:
            lines += made(shlex.split(str(words)))
            words = None
        if words is None:
            lines.append(line)
        if begin is not None:
            words = begin["words"]
    if words is not None:
        raise BenchmarkError(f"the table {words!r} has no {END!r}")
    return "\n".join(lines) + "\n"
