"""Tables of a speed run: their columns, and which of them are kept as baselines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from benchmarks.reports.tables import markdown as lines

SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}
"""Unit of time -> seconds."""

YARDSTICK = "yardstick_s"
"""Entry of a row by which its times are divided for the baselines."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: key in a row's figures.
        title: heading of the column.
        kept: whether a baseline is kept of it; times then need the row's ``YARDSTICK``.
        unit: unit of the figure.
    """

    key: str
    title: str
    kept: bool = False
    unit: str = ""


TABLES: dict[str, tuple[Column, ...]] = {
    "Episodes of new plans against the bare forward pass": (
        Column("threads", "threads"),
        Column("parallel", "their gain on a product"),
        Column("images", "images"),
        Column("batch", "its batch"),
        Column("bare_ms", "bare pass, ms"),
        Column("plans", "plans"),
        Column("episode", "episode / bare", True),
        Column("quartiles", "quartiles"),
        Column("wanted", "wanted"),
        Column("met", ""),
        Column("again", "evaluated again / bare", True),
        Column("own", "own pass / bare", True),
    ),
    "Other ways to run the same small networks, one thread": (
        Column("images", "images"),
        Column("plans", "plans"),
        Column("own_ms", "the evaluator's pass, ms"),
        Column("bare_ms", "bare pass, ms"),
        Column("pass_ms", "its pass, ms"),
        Column("ratio", "its pass / the evaluator's"),
        Column("build_s", "to build, s of CPU"),
        Column("pays_after", "pays after passes"),
    ),
    "bf16 against float32, one thread": (
        Column("arithmetic", "bf16 arithmetic"),
        Column("images", "images"),
        Column("plans", "plans"),
        Column("correlation", "rank correlation of rewards"),
        Column("wanted", "wanted"),
        Column("met", ""),
        Column("mean", "mean change of reward"),
        Column("largest", "largest"),
        Column("float32_ms", "float32, ms"),
        Column("bf16_ms", "bf16, ms"),
        Column("ratio", "bf16 / float32", True),
    ),
    "Agents beside their environment, CPU time per episode, one thread": (
        Column("episodes", "episodes"),
        Column("distinct", "distinct plans"),
        Column("own_ms", "agent, ms"),
        Column("environment_ms", "environment, ms"),
        Column("ratio", "agent / environment", True),
    ),
    "Episodes per second, by the clock on the wall": (
        Column("threads", "threads"),
        Column("parallel", "their gain on a product"),
        Column("one_core", "one environment, one core"),
        Column("single", "one environment"),
        Column("sync", "SyncVectorEnv of 8"),
        Column("vector", "AMCVectorEnv of 8"),
        Column("against_one_core", "AMCVectorEnv / one core"),
        Column("against_single", "AMCVectorEnv / one environment"),
        Column("wanted", "wanted"),
        Column("met", ""),
    ),
    "Workers of an AsyncVectorEnv after 20 episodes each, above one that has only imported": (
        Column("private", "private memory, MB", True),
        Column("share", "share of all memory, MB"),
        Column("ms", "to make the environment, ms"),
    ),
    "Registered networks, one torch thread": (
        Column("units", "units"),
        Column("construction_s", "construction, s", True, "s"),
        Column("select_ms", "build by selection, ms", True, "ms"),
        Column("build_ms", "build with re-fit, ms", True, "ms"),
        Column("evaluation_ms", "evaluation, ms", True, "ms"),
        Column("images", "images"),
        Column("memory_MB", "peak memory of construction, MB", True),
    ),
}
"""Title -> columns."""

LIMIT, RUNTIMES, PRECISION, AGENTS, ENVIRONMENTS, COPIES, FORWARD = TABLES

Row = Mapping[str, Any]


def render(title: str, rows: Mapping[str, Row]) -> Table:
    """Return a table of named rows for the terminal; figures that a row lacks are left out."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("", no_wrap=True)
    for column in TABLES[title]:
        table.add_column(column.title, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(shown(row.get(column.key)) for column in TABLES[title]))
    return table


def markdown(title: str, rows: Mapping[str, Row]) -> list[str]:
    """Return a table of named rows as lines of Markdown, without columns that are empty."""
    columns = [c for c in TABLES[title] if any(row.get(c.key) is not None for row in rows.values())]
    cells = [[name, *(plain(row.get(c.key)) for c in columns)] for name, row in rows.items()]
    return lines(["", *(column.title for column in columns)], cells)


def plain(figure: object) -> str:
    """Return what ``shown`` shows, without colours."""
    return Text.from_markup(shown(figure)).plain


def yes(met: bool) -> str:
    """Format a row's "met"."""
    return "[green]yes" if met else "[yellow]no"


def shown(figure: object) -> str:
    """Format a number to three digits, a text as it is, and None as nothing."""
    if figure is None:
        return ""
    if isinstance(figure, float):
        return "never" if figure == float("inf") else f"{figure:.3g}"
    return str(figure)


def kept(title: str, rows: Mapping[str, Row]) -> Iterable[tuple[str, float]]:
    """Yield (name, ratio) of each figure that has a baseline."""
    for name, row in rows.items():
        for column in TABLES[title]:
            figure = row.get(column.key)
            if column.kept and figure is not None:
                in_units = f"{name}: {column.title.removesuffix(f', {column.unit}')}"
                yield in_units, ratio(figure, column.unit, row.get(YARDSTICK))


def ratio(figure: float, unit: str, yardstick: float | None) -> float:
    """Return a figure as baselines keep it: a time as multiples of the yardstick, others as is."""
    if unit not in SECONDS:
        return figure
    assert yardstick is not None, "times are kept as multiples of a yardstick"
    return figure * SECONDS[unit] / yardstick
