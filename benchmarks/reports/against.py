"""Comparison with earlier results, agent by agent: within their interval, or not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from benchmarks.reports.sections import Section, interval, percent, sections_of
from benchmarks.reports.statistics import Estimate, Row
from benchmarks.reports.tables import terminal
from benchmarks.studies.records import Store
from benchmarks.studies.runs import BenchmarkError, Setting

EQUAL = 1e-9
"""Difference of accuracies that counts as equal."""

HEADER = ("agent", "reward %", "there", "", "test %", "there", "")


def compared(sections: Sequence[Section], folder: Path) -> Iterator[Table | str]:
    """Yield tables and remarks of a comparison with the runs of another folder.

    Args:
        sections: the present results.
        folder: folder of the results to compare with.

    Raises:
        BenchmarkError: the folder holds no finished run.
    """
    records, _ = Store(folder).load()
    if not records:
        raise BenchmarkError(f"no finished runs in {folder} to compare with")
    theirs = sections_of(records)
    for section in sections:
        other = next((each for each in theirs if _alike(each.setting, section.setting)), None)
        if other is None:
            yield f"{section.title}: nothing in {folder} to compare with, which has " + "; ".join(
                each.title for each in theirs
            )
            continue
        yield from _compared(section, other, folder)


def _alike(one: Setting, other: Setting) -> bool:
    """Return whether two settings have the same options and task, by its names."""
    return (one.env, one.episodes, dict(one.options), dict(one.source)) == (
        other.env,
        other.episodes,
        dict(other.options),
        dict(other.source),
    )


def _compared(section: Section, other: Section, folder: Path) -> Iterator[Table | str]:
    there = {_name(row): row for row in reversed(other.rows)}
    both = [row for row in section.rows if _name(row) in there]
    rows, within = [], 0
    for row in both:
        cells, inside = _cells(row, there[_name(row)])
        rows.append(cells)
        within += inside
    table = terminal(f"Against {folder}", HEADER, rows)
    table.caption_justify = "left"
    table.caption = f"within: inside the interval of {folder}, or equal to its one run"
    yield table
    yield f"{within} of {len(both)} agents are within the intervals of {folder}"
    alone = [row.agent for row in section.rows if _name(row) not in there]
    if alone:
        yield f"not in {folder}: {', '.join(alone)}"
    fewer = [row.agent for row in both if row.seeds != there[_name(row)].seeds]
    if fewer:
        yield f"with another number of seeds there: {', '.join(fewer)}"
    if section.setting.task != other.setting.task:
        yield (
            f"the task has another fingerprint than in {folder} "
            f"({section.setting.task[:12]}, there {other.setting.task[:12]}): its weights, its "
            "images or the way they are fingerprinted have changed"
        )


def _name(row: Row) -> str:
    """Return the agent's name, independent of its code."""
    return replace(row.records[0].run, variant="").label


def _cells(row: Row, other: Row) -> tuple[tuple[str, ...], bool]:
    """Return the agent's line, and whether both of its accuracies are within."""
    cells, inside = [row.agent], True
    for here, there in (
        (row.reward_accuracy, other.reward_accuracy),
        (row.test_accuracy, other.test_accuracy),
    ):
        verdict = _verdict(float(here.value), there)
        cells += [percent(float(here.value)), interval(there), verdict]
        inside &= verdict == "within"
    return tuple(cells), inside


def _verdict(value: float, there: Estimate) -> str:
    one = math.isnan(float(there.low))
    low, high = (float(there.value),) * 2 if one else (float(there.low), float(there.high))
    if value < low - EQUAL:
        return f"below by {100 * (low - value):.1f}"
    if value > high + EQUAL:
        return f"above by {100 * (value - high):.1f}"
    return "within"
