"""The table of `python -m benchmarks transfer`: agents over groups of contexts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.reports.statistics import iqm
from benchmarks.reports.tables import markdown
from benchmarks.transfer.trials import AFTER, Row, load

FILE = Path(__file__).parents[1] / "results" / "transfer" / "trials.parquet"
"""Committed rows."""

RESAMPLES = 2000


def transfer(group: str) -> list[str]:
    """Interquartile means of the relative reward over a group's contexts, with intervals.

    Agents are in the order of their best after 40 evaluations, or after as many as they had.
    """
    return made(load(FILE), group)


def made(rows: Sequence[Row], group: str) -> list[str]:
    """The table of some rows; see ``transfer``."""
    rows = [row for row in rows if row["group"] == group]
    cells: dict[str, list[str]] = {}
    order: dict[str, float] = {}
    shown = [n for n in AFTER if any(row[f"after {n}"] is not None for row in rows)]
    for agent in dict.fromkeys(row["agent"] for row in rows):
        mine = [row for row in rows if row["agent"] == agent]
        cells[agent] = [_cell(mine, n) for n in shown]
        order[agent] = max(_value(mine, n) for n in shown if n <= 40)
    ranked = sorted(cells, key=lambda agent: -order[agent])
    header = ["best relative reward after", *map(str, shown)]
    return markdown(header, [[agent, *cells[agent]] for agent in ranked])


def _means(rows: Sequence[Row], n: int) -> dict[str, np.ndarray]:
    """Network -> means over seeds of its contexts, of runs that had so many evaluations."""
    known: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        value = row[f"after {n}"]
        if value is not None and np.isfinite(value):
            known[row["network"], row["context"]].append(value)
    networks: dict[str, list[float]] = defaultdict(list)
    for (network, _), values in known.items():
        networks[network].append(float(np.mean(values)))
    return {network: np.array(values) for network, values in networks.items()}


def _value(rows: Sequence[Row], n: int) -> float:
    means = _means(rows, n)
    return float(iqm(np.concatenate([*means.values()]))) if means else -np.inf


def _cell(rows: Sequence[Row], n: int) -> str:
    """Interquartile mean and 95 % bootstrap interval; networks are drawn, with their budgets."""
    means = [*_means(rows, n).values()]
    if not means:
        return ""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(means), size=(RESAMPLES, len(means)))
    found = [iqm(np.concatenate([means[i] for i in each])) for each in drawn]
    low, high = np.quantile(found, (0.025, 0.975))
    return f"{iqm(np.concatenate(means)):.2f} [{low:.2f}, {high:.2f}]"
