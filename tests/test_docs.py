"""Examples on the pages of docs run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("extend.md", "suites.md")


@pytest.mark.parametrize("page", PAGES)
def test_examples_run_as_printed(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert blocks
    # Line numbers of an error are those of the page.
    code = ["\n"] * (text.count("\n") + 1)
    for block in blocks:
        first = text.count("\n", 0, block.start(1))
        for place, line in enumerate(block[1].splitlines(keepends=True)):
            code[first + place] = line
    exec(compile("".join(code), page, "exec"), {"__name__": "__main__"})
