"""Links and headings as on GitHub, so that a page works in both places."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
HEADING = re.compile(r"^(#{1,6}) +(.+?) *#* *$")
LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s]+)(?=[)\s])")
ELSEWHERE = re.compile(r"^([a-z][a-z0-9+.-]*:|/|#)", re.IGNORECASE)
"""Start of a target that is an address, or an anchor on the same page."""


def links(text: str) -> Iterator[str]:
    """Yield the relative targets of a page's links and pictures, without their anchors."""
    for line, code in _lines(text):
        if not code:
            for found in LINK.finditer(line):
                if not ELSEWHERE.match(found["target"]):
                    yield found["target"].partition("#")[0]


def relink(text: str, place: Callable[[str], str | None]) -> str:
    """Return a page with its relative links replaced.

    Args:
        text: the page.
        place: maps a target without its anchor to a new one; ``None`` keeps the link.
    """

    def replaced(found: re.Match[str]) -> str:
        target = found["target"]
        if ELSEWHERE.match(target):
            return target
        path, mark, anchor = target.partition("#")
        new = place(path)
        return target if new is None else new + mark + anchor

    return "".join(line if code else LINK.sub(replaced, line) for line, code in _lines(text))


def with_anchors(text: str) -> str:
    """Return a page whose headings have explicit anchors, those of GitHub.

    Python-Markdown numbers equal headings differently, and a link to one of them would only work in
    one of the two places.
    """
    seen: Counter[str] = Counter()
    lines = []
    for line, code in _lines(text):
        heading = None if code else HEADING.match(line.rstrip("\n"))
        if heading is None:
            lines.append(line)
            continue
        anchor = slug(heading[2])
        again = seen[anchor]
        seen[anchor] += 1
        name = f"{anchor}-{again}" if again else anchor
        lines.append(f"{heading[1]} {heading[2]} {{ #{name} }}\n")
    return "".join(lines)


def slug(heading: str) -> str:
    """Return GitHub's anchor of a heading: lower case, hyphens for spaces, no punctuation."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def summary(docstring: str | None) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((docstring or "").strip().partition("\n\n")[0].split())


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each line and whether it belongs to a block of code."""
    closing = None
    for line in text.splitlines(keepends=True):
        fence = FENCE.match(line)
        if closing is None and fence:
            closing = fence[1]
            yield line, True
        elif closing is not None:
            yield line, True
            if line.strip().startswith(closing) and not line.strip().strip(closing[0]):
                closing = None
        else:
            yield line, False
