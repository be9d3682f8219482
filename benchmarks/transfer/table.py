"""Tables of `python -m benchmarks transfer`: agents over groups of contexts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from amc_gym._utils.names import choose
from benchmarks.reports.statistics import Estimate
from benchmarks.reports.tables import markdown
from benchmarks.transfer.rows import AFTER, load
from benchmarks.transfer.summary import Summary, counted

FILE = Path(__file__).parents[1] / "results" / "transfer" / "trials.parquet"
"""Committed rows."""

RANKED = 40
"""Agents are ordered by their score after this many evaluations, or after as many as they had."""

Cells = tuple[list[str], list[list[str]]]
"""Header and rows."""


def transfer(group: str, kind: str = "scores") -> list[str]:
    """Return a table of the committed rows of a group's contexts.

    Args:
        group: group of contexts.
        kind: "scores" of agents, or "differences" between a policy and others.

    Raises:
        ValueError: there is no such kind.
    """
    summary = Summary([row for row in load(FILE) if row["group"] == group])
    choose("group", group, summary.groups)
    if choose("kind of table", kind, ("scores", "differences")) == "scores":
        return markdown(*score_cells(summary, group))
    return markdown(*difference_cells(summary, group), words=2)


def score_cells(summary: Summary, group: str) -> Cells:
    """Tabulate interquartile means of the relative reward, with intervals.

    Agents are ordered by their best reward after 40 evaluations, or after as many as they had.
    """
    found = summary.curves[group]
    shown = [n for n in AFTER if any(n in each for each in found.values())]
    ranked = sorted(found, key=lambda name: -_rank(found[name]))
    lines = [[name, *(cell(found[name].get(n)) for n in shown)] for name in ranked]
    return ["best relative reward after", *map(str, shown)], lines


def difference_cells(summary: Summary, group: str) -> Cells:
    """Tabulate differences between policies and what they should match, with intervals."""
    lines = [
        [_after(policy, n), _after(agent, other), str(nets), cell(found, "+")]
        for (policy, n, agent, other), (found, nets) in summary.differences[group].items()
    ]
    return ["policy", "against", "networks", "difference"], lines


def _after(name: str, evaluations: int) -> str:
    return f"{name}, {counted(evaluations, 'evaluation')}"


def _rank(estimates: Mapping[int, Estimate]) -> float:
    return max((float(e.value) for n, e in estimates.items() if n <= RANKED), default=-np.inf)


def cell(estimate: Estimate | None, sign: str = "-") -> str:
    """Format the interquartile mean and its interval."""
    if estimate is None:
        return ""
    value, low, high = (f"{float(x):{sign}.2f}" for x in vars(estimate).values())
    return value if np.isnan(estimate.low) else f"{value} [{low}, {high}]"
