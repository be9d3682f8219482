"""Collects the figures of a speed run and prints them against those that are wanted.

Nothing here fails for being slow: a busy machine is no defect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine, versions

WANTED: dict[str, tuple[float | None, str]] = {
    "second construction": (50.0, "ms"),
    "non-terminal step": (200.0, "µs"),
    "episode / bare forward pass": (1.3, "×"),
    "episode / the evaluator's own pass": (None, "×"),
    "peak memory above imports": (300.0, "MB"),
    "400 episodes of amc-ddpg": (90.0, "s"),
}
"""Figure -> at most so much (None: no matter), in this unit."""

FIGURES = pytest.StashKey[dict[str, float]]()
NETWORKS = pytest.StashKey[dict[str, dict[str, Any]]]()

Note = Callable[[str, float], None]
NetworkRow = Callable[[str, dict[str, Any]], None]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = {}
    config.stash[NETWORKS] = {}


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Keep a figure, in the unit of ``WANTED``, for the table at the end."""
    return request.config.stash[FIGURES].__setitem__


@pytest.fixture
def row(request: pytest.FixtureRequest) -> NetworkRow:
    """Keep the figures of a registered network for the table at the end."""
    return request.config.stash[NETWORKS].__setitem__


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    console = Console()
    if networks := terminalreporter.config.stash[NETWORKS]:
        console.print(_networks(networks))
    figures = terminalreporter.config.stash[FIGURES]
    if not figures:
        return
    table = Table(title="Speed", title_justify="left", title_style="bold")
    table.add_column("")
    for column in ("measured", "wanted", ""):
        table.add_column(column, justify="right")
    for name, figure in figures.items():
        most, unit = WANTED[name]
        wanted = "" if most is None else f"≤ {most:g} {unit}"
        mark = "" if most is None else "[green]yes" if figure <= most else "[yellow]no"
        table.add_row(name, f"{figure:.3g} {unit}", wanted, mark)
    console.print(table)
    where = ", ".join(f"{name} {value}" for name, value in machine().items())
    console.print(
        f"{where}; {torch.get_num_threads()} torch thread(s); torch {versions()['torch']}"
    )


def _networks(rows: dict[str, dict[str, Any]]) -> Table:
    """One row per network."""
    table = Table(title="Registered networks, one torch thread", title_justify="left")
    columns = {
        "units": "units",
        "construction_s": "construction, s",
        "select_ms": "build by selection, ms",
        "build_ms": "build with re-fit, ms",
        "evaluation_ms": "evaluation, ms",
        "images": "images",
        "memory_MB": "peak memory of construction, MB",
    }
    table.add_column("network")
    for title in columns.values():
        table.add_column(title, justify="right")
    for name, figures in rows.items():
        table.add_row(name, *(f"{figures[key]:.3g}" for key in columns))
    return table
