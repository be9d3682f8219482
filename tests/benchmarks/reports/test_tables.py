"""Tables of results."""

import io

from rich.console import Console

from benchmarks.reports.tables import markdown, terminal


def test_markdown() -> None:
    """Words are flush left, numbers right."""
    assert markdown(["agent", "where", "score"], [["uniform", "here", "0.1"]], words=2) == [
        "| agent | where | score |",
        "|:--|:--|--:|",
        "| uniform | here | 0.1 |",
    ]
    assert markdown(["n"], [], words=0) == ["| n |", "|--:|"]


def test_terminal() -> None:
    """The same, below its title."""
    console = Console(width=60, file=io.StringIO())
    with console.capture() as printed:
        console.print(terminal("Scores", ["agent", "score"], [["uniform", "1"], ["gp", "10.5"]]))
    lines = printed.get().splitlines()
    assert lines[0].strip() == "Scores"
    assert "│ uniform │     1 │" in lines[4]
