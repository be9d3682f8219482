"""The table of `python -m benchmarks transfer`: agents over groups of contexts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.reports.statistics import Estimate
from benchmarks.reports.tables import markdown
from benchmarks.transfer.intervals import estimate, scores
from benchmarks.transfer.policies import by_label
from benchmarks.transfer.rows import AFTER, Row, load

FILE = Path(__file__).parents[1] / "results" / "transfer" / "trials.parquet"
"""Committed rows."""

RANKED = 40
"""Evaluations after which agents are put in order, or as many as they had."""


def transfer(group: str) -> list[str]:
    """Interquartile means of the relative reward over a group's contexts, with intervals.

    Agents are in the order of their best after 40 evaluations, or after as many as they had.
    """
    return made(load(FILE), group)


def made(rows: Sequence[Row], group: str) -> list[str]:
    """The table of some rows; see ``transfer``."""
    return markdown(*cells(rows, group))


def cells(rows: Sequence[Row], group: str) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the table."""
    found = {
        name: {n: found for n in AFTER if len((found := scores(mine, n)).values)}
        for name, mine in by_label([row for row in rows if row["group"] == group]).items()
    }
    shown = [n for n in AFTER if any(n in each for each in found.values())]
    estimates = {name: {n: estimate(s) for n, s in each.items()} for name, each in found.items()}
    ranked = sorted(estimates, key=lambda name: -_rank(estimates[name]))
    lines = [[name, *(_cell(estimates[name].get(n)) for n in shown)] for name in ranked]
    return ["best relative reward after", *map(str, shown)], lines


def _rank(estimates: dict[int, Estimate]) -> float:
    return max((float(e.value) for n, e in estimates.items() if n <= RANKED), default=-np.inf)


def _cell(estimate: Estimate | None) -> str:
    """Interquartile mean and its interval."""
    if estimate is None:
        return ""
    if np.isnan(estimate.low):
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
