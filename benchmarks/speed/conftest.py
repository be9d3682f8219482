"""Collection of a speed run's figures, printed next to their targets and their baselines.

Nothing here fails for being slow, since a busy machine is not a defect.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import described, machine, versions
from benchmarks.reports.tables import markdown
from benchmarks.speed import baselines, report, tables
from benchmarks.speed.yardstick import yardstick_seconds

WANTED: dict[str, tuple[float | None, str]] = {
    "second construction": (50.0, "ms"),
    "non-terminal step": (200.0, "µs"),
    "peak memory above imports": (300.0, "MB"),
    "64 environments above one": (50.0, "MB"),
    "400 episodes of amc-ddpg": (90.0, "s"),
}
"""Figure -> its upper limit (None: no limit) and unit."""

FIGURES = pytest.StashKey[dict[str, float]]()
RATIOS = pytest.StashKey[dict[str, float]]()
ROWS = pytest.StashKey[dict[str, dict[str, dict[str, Any]]]]()

WIDTH = 170
"""Columns of the widest table."""

Note = Callable[[str, float], None]
Row = Callable[[str, str, dict[str, Any]], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-baselines",
        action="store_true",
        help=f"write this run's figures into {baselines.PATH.name}",
    )
    parser.addoption("--out", type=Path, help="folder for speed.md and speed.json")


def pytest_configure(config: pytest.Config) -> None:
    # This makes figures of different machines comparable; tests that need more threads set their
    # own.
    torch.set_num_threads(1)
    config.stash[FIGURES] = {}
    config.stash[RATIOS] = {}
    config.stash[ROWS] = {title: {} for title in tables.TABLES}


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Return a function that keeps a figure, in the unit of ``WANTED``, for the final tables."""

    def keep(name: str, value: float) -> None:
        _, unit = WANTED[name]
        # Taken now, while the machine is as busy as when the figure was measured.
        yardstick = yardstick_seconds() if unit in tables.SECONDS else None
        request.config.stash[FIGURES][name] = value
        request.config.stash[RATIOS][name] = tables.ratio(value, unit, yardstick)

    return keep


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    """Return a function that keeps a row of a table: (title in ``tables``, row name, figures)."""

    def keep(title: str, name: str, figures: dict[str, Any]) -> None:
        request.config.stash[ROWS][title][name] = figures
        request.config.stash[RATIOS].update(tables.kept(title, {name: figures}))

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # In a narrow terminal or a file, complete tables matter more than unbroken lines.
    config, console = terminalreporter.config, Console(width=max(WIDTH, Console().width))
    for title, rows in config.stash[ROWS].items():
        if rows:
            console.print(tables.render(title, rows))
    if figures := config.stash[FIGURES]:
        console.print(_wanted(figures))
    if ratios := config.stash[RATIOS]:
        console.print(baselines.comparison(ratios, baselines.read()))
        where = described(machine())
        threads = f"{torch.get_num_threads()} torch thread(s)"
        circumstances = f"this run: {where}; {threads}; torch {versions()['torch']}"
        console.print(circumstances)
        if (out := config.getoption("--out")) is not None:
            report.keep(out / "speed", "Speed", _markdown(config, circumstances), _document(config))
        if config.getoption("--update-baselines"):
            baselines.update(baselines.Baselines(machine(), versions(), ratios))
            console.print(f"[bold]{baselines.PATH} holds these figures now")


def _markdown(config: pytest.Config, circumstances: str) -> list[str]:
    """Return all tables of the run, one below the other."""
    named = [
        [name, f"{figure:.3g} {unit}", "" if most is None else f"≤ {most:g} {unit}"]
        for name, figure in config.stash[FIGURES].items()
        for most, unit in [WANTED[name]]
    ]
    lines = [
        circumstances,
        "",
        "## Single figures",
        "",
        *markdown(["", "measured", "wanted"], named),
    ]
    for title, rows in config.stash[ROWS].items():
        if rows:
            lines += ["", f"## {title}", "", *tables.markdown(title, rows)]
    return lines


def _document(config: pytest.Config) -> dict[str, Any]:
    return {"figures": config.stash[FIGURES], "rows": config.stash[ROWS]}


def _wanted(figures: dict[str, float]) -> Table:
    table = Table(title="Speed", title_justify="left", title_style="bold")
    table.add_column("")
    for column in ("measured", "wanted", ""):
        table.add_column(column, justify="right")
    for name, figure in figures.items():
        most, unit = WANTED[name]
        wanted = "" if most is None else f"≤ {most:g} {unit}"
        met = "" if most is None else tables.yes(figure <= most)
        table.add_row(name, f"{figure:.3g} {unit}", wanted, met)
    return table
