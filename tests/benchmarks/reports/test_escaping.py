"""Escaping: in no report do names act as markup, formulas, scripts or escape sequences."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console
from small_study import variant

from benchmarks.reports.escaping import (
    PlainRows,
    csv_cell,
    markdown_code,
    markdown_link,
    markdown_text,
    picture_text,
    terminal_text,
)
from benchmarks.reports.report import write
from benchmarks.reports.tables import markdown, terminal
from benchmarks.studies.records import Record, Store

NAMES = (
    "=HYPERLINK(1)",
    "-1+1",
    "+1",
    "@SUM(1)",
    "[bold red]agent",
    "[/]",
    "[link=http://evil]x[/link]",
    ":smile:",
    "a|b",
    "[x](javascript:alert(1))",
    "![x](http://evil/x.png)",
    "`code`",
    "**bold** _low_",
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "' onclick='alert(1)",
    '" onclick="alert(1)',
    "$\\frac{1}$",
    "_hidden",
    "%{x} %{customdata[0]}",
    "{{x}}",
    "\\",
)


def test_markdown_cells_hold_one_text_each() -> None:
    for name in NAMES:
        (line,) = markdown(["a"], [[name]])[2:]
        assert len(re.findall(r"(?<!\\)\|", line)) == 2
        assert not re.search(r"(?<!\\)\]\(|(?<!\\)\]\[|<", line)
        assert not re.search(r"(?<!\\)[`*]", line)
    assert markdown_text("79.1 [78.0, 80.2]") == "79.1 [78.0, 80.2]"
    assert markdown_text("other_agent") == "other_agent"
    assert markdown_text(markdown_text("a|b")) == r"a\|b"
    assert markdown_text("two\nlines\x1b[2J") == r"two lines\\x1b[2J"
    assert markdown_link("a] [b", "x") == r"[a\] \[b](x)"
    assert markdown_code("a`|b") == r"`` a`\|b ``"


def test_no_cell_of_a_csv_file_is_a_formula() -> None:
    text = io.StringIO()
    rows = PlainRows(text)
    rows.writerow([*NAMES, -1.5, 3, "\t=1", " =1", "\n=1"])
    (row,) = csv.reader(io.StringIO(text.getvalue()))
    assert not [cell for cell in row if cell[:1] in "=+-@\t\r" and cell != "-1.5"]
    assert row[-5:-3] == ["-1.5", "3"]
    assert csv_cell("-0.5") == "'-0.5"
    assert csv_cell(-0.5) == -0.5
    assert csv_cell("amc-ddpg") == "amc-ddpg"


def test_the_terminal_shows_names_as_they_are() -> None:
    console = Console(file=io.StringIO(), width=500, force_terminal=True, color_system=None)
    console.print(terminal("[bold]title", ["[red]head"], [[name] for name in NAMES]))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    for name in ("[bold]title", "[red]head", "[bold red]agent", "[/]"):
        assert name in said
    assert "\x1b" not in said
    assert terminal_text("\x1b[2J") == r"\x1b[2J"


def test_pictures_hold_no_formulas() -> None:
    assert picture_text("$x$") == r"\$x\$"
    assert picture_text("_x") == " _x"


class Tags(HTMLParser):
    """A parser that collects every tag of a page, and the text outside of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        if not self.tags or self.tags[-1] not in ("script", "style"):
            self.texts.append(data)


@pytest.fixture(scope="module")
def folder(record: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report on agents with hostile names."""
    path = tmp_path_factory.mktemp("names")
    store = Store(path)
    for number, name in enumerate(NAMES):
        store.save(variant(record, name, number, 0.5 + 0.01 * number))
    (path / "[bold]x|<b>.json").write_text("{}")
    console = Console(file=io.StringIO(), width=300)
    write(path, console)
    (path / "said").write_text(console.file.getvalue())  # type: ignore[attr-defined]
    return path


def test_names_add_no_markup_to_a_report(folder: Path) -> None:
    said = (folder / "said").read_text()
    assert "[bold red]agent" in said
    assert "[bold]x|<b>.json does not count" in said
    for row in csv.reader(io.StringIO((folder / "report.csv").read_text())):
        assert not [cell for cell in row if cell[:1] in ("=", "+", "@")]
    text = (folder / "report.md").read_text()
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(javascript", text)
    rows = [line for line in text.splitlines() if line.startswith("|") and "alert" in line]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert (folder / "learning-curves.png").stat().st_size > 1000


def test_a_page_runs_no_script_of_a_name(folder: Path) -> None:
    pytest.importorskip("plotly")
    page = (folder / "report.html").read_text(encoding="utf-8")
    parser = Tags()
    parser.feed(page)
    assert "img" not in parser.tags
    assert not [name for name in parser.attributes if name.startswith("on")]
    texts = " ".join(parser.texts)
    for name in NAMES:
        assert name in html.unescape(texts)
    # In the data of plots, a closing tag would end the script.
    scripts = page.split("<script")[1:]
    assert all(
        "alert(1)" not in script.partition("</script>")[0]
        or "\\u003c" in script
        or "&lt;" in script
        for script in scripts
    )
    names = re.findall(r'"name":("(?:[^"\\]|\\.)*")', page)
    assert not [name for name in map(json.loads, names) if re.search(r"<\s*(script|img)", name)]
