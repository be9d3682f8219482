"""Tables of results, in Markdown and in a terminal."""

import io
import sys

import pytest
from rich.console import Console

from amc_gym.cli.console import printer
from benchmarks.reports.tables import markdown, terminal


def test_markdown() -> None:
    """Align words left and numbers right."""
    assert markdown(["agent", "where", "score"], [["uniform", "here", "0.1"]], words=2) == [
        "| agent | where | score |",
        "|:--|:--|--:|",
        "| uniform | here | 0.1 |",
    ]
    assert markdown(["n"], [], words=0) == ["| n |", "|--:|"]


def test_terminal() -> None:
    """Print the table below its title."""
    console = Console(width=60, file=io.StringIO())
    with console.capture() as printed:
        console.print(terminal("Scores", ["agent", "score"], [["uniform", "1"], ["gp", "10.5"]]))
    lines = printed.get().splitlines()
    assert lines[0].strip() == "Scores"
    assert "│ uniform │     1 │" in lines[4]


@pytest.mark.parametrize(("columns", "folded"), [("150", False), ("30", True)])
def test_no_figure_is_cut(columns: str, folded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Print in a narrow terminal, where cells go on in the next line."""
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    console = printer()
    interval = "-0.32 [-0.89, +0.25]"
    with console.capture() as printed:
        console.print(
            terminal("Scores", ["agent", "against full"], [["loss-allocation", interval]])
        )
    assert "…" not in printed.get()
    assert (interval in printed.get()) != folded
