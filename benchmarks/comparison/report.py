"""Report of a comparison over tasks: comparison.md, comparison.csv and two pictures."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from amc_gym._utils.files import write_whole
from benchmarks.comparison.figure import draw, draw_pairs
from benchmarks.comparison.resampling import pooled_iqm, probability_of_improvement
from benchmarks.comparison.scores import Scores, scores_of
from benchmarks.reports.escaping import PlainRows, markdown_text, terminal_text
from benchmarks.reports.sections import unfinished_lines
from benchmarks.reports.statistics import Estimate
from benchmarks.reports.tables import markdown, terminal
from benchmarks.studies.journals import load as load_journals
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError, Setting

EARLY = 10
"""Percent of the budget at which a second score is reported, besides the final one."""

FIXED = 5
"""Number of columns before the comparison with one agent."""


@dataclass(frozen=True)
class Line:
    """The figures of one agent.

    Attributes:
        scores: its runs.
        early: score after a tenth of the budget.
        end: score at the end.
        test: score of the same plans on the test images.
        improvement: probability that a run beats one of the agent that all are compared with.
    """

    scores: Scores
    early: Estimate
    end: Estimate
    test: Estimate
    improvement: Estimate | None


def write(folders: Sequence[Path], out: Path, against: str, console: Console) -> list[Line]:
    """Compare the agents of several studies, and write the report to a folder.

    Args:
        folders: of the studies.
        out: folder of the report.
        against: agent that all others are compared with.
        console: console that shows the table.

    Raises:
        BenchmarkError: there are no runs or no scores, or no agent was run on every task.
    """
    records: list[Record] = []
    for folder in folders:
        found, _ = Store(folder).load()
        if not found:
            raise BenchmarkError(f"no finished runs in {folder}")
        for line in unfinished_lines(load_journals(folder)[0], ()):
            console.print(
                f"[yellow]unfinished, and left out: {terminal_text(line)}", soft_wrap=True
            )
        records += found
    scores, settings, partial = scores_of(records)
    if not scores:
        raise BenchmarkError("no agent was run on every task: run one on all of them")
    by_name = {each.agent: each for each in scores}
    reference = by_name.get(against)
    lines, curves = [], {}
    for each in scores:
        curve = curves[each.agent] = pooled_iqm(each.curves)
        lines.append(
            Line(
                each,
                curve[EARLY - 1],
                pooled_iqm(each.reward),
                pooled_iqm(each.test),
                None
                if reference is None or reference is each
                else probability_of_improvement(each.reward, reference.reward),
            )
        )
    out.mkdir(parents=True, exist_ok=True)
    ends = {line.scores.agent: line.end for line in lines}
    draw(scores, ends, curves, out / "comparison.png")
    better = np.array(
        [
            [float(probability_of_improvement(a.reward, b.reward).value) for b in scores]
            for a in scores
        ]
    )
    draw_pairs(list(by_name), better, out / "pairs.png")
    header = _header(against if reference else None)
    text = _markdown(lines, header, settings, partial)
    write_whole(out / "comparison.md", text)
    write_whole(out / "comparison.csv", _csv(lines))
    title = f"{len(settings)} task{'s'[: len(settings) != 1]}"
    rows = [_cells(line, reference is not None) for line in lines]
    console.print(terminal(title, header, rows))
    names = "comparison.md, comparison.csv, comparison.png, pairs.png"
    console.print(terminal_text(f"written to {out}: {names}"))
    return lines


def _header(against: str | None) -> list[str]:
    names = ["agent", "runs", f"score at {EARLY} %", "score", "on test images"]
    assert len(names) == FIXED
    return names if against is None else [*names, f"beats {against}, %"]


def _cells(line: Line, against: bool) -> list[str]:
    cells = [line.scores.agent, str(line.scores.runs)]
    cells += [_interval(each) for each in (line.early, line.end, line.test)]
    if against:
        cells.append("" if line.improvement is None else _interval(line.improvement, 100, 0))
    return cells


def _interval(estimate: Estimate, scale: float = 1, digits: int = 2) -> str:
    if math.isnan(float(estimate.value)):
        return "none yet"
    value, low, high = (
        f"{scale * float(x):.{digits}f}" for x in (estimate.value, estimate.low, estimate.high)
    )
    return value if math.isnan(float(estimate.low)) else f"{value} [{low}, {high}]"


def _markdown(
    lines: Sequence[Line], header: Sequence[str], settings: Sequence[Setting], partial: list[str]
) -> str:
    text = [
        "# Agents over tasks",
        "",
        *markdown(header, (_cells(line, len(header) > FIXED) for line in lines)),
        "",
        "A score is the share of what the uniform plan loses that a search wins back: 0 is the "
        "uniform plan's accuracy at the same budget, 1 the uncompressed network's. Interquartile "
        "mean over all runs [95 % stratified bootstrap interval: seeds are drawn anew within each "
        "task]; one run on each task, a deterministic rule, has no interval. Scores count the "
        "reward images, which the search saw, unless it says test images.",
        "",
        "![Scores, profiles and curves](comparison.png)",
        "",
        "![Probability of improvement](pairs.png)",
        "",
    ]
    tasks = []
    for setting in settings:
        ratio, resource = setting.options["preserve_ratio"], setting.options["resource"]
        source = " ".join(value for value in setting.source.values() if value)
        tasks.append([f"{setting.env} ({source})", f"{ratio:.0%} of {resource}"])
        tasks[-1].append(str(setting.episodes))
    text += markdown(["task", "budget", "evaluations"], tasks)
    if partial:
        text += ["", f"Not on every task, and so left out: {markdown_text(', '.join(partial))}."]
    return "\n".join([*text, ""])


def _csv(lines: Sequence[Line]) -> str:
    text = io.StringIO()
    out = PlainRows(text)
    names = ("early", "score", "test", "improvement")
    out.writerow(["agent", "runs", *(f"{n}{end}" for n in names for end in ("", "_low", "_high"))])
    for line in lines:
        row: list[object] = [line.scores.agent, line.scores.runs]
        for estimate in (line.early, line.end, line.test, line.improvement):
            for part in ("value", "low", "high"):
                number = math.nan if estimate is None else float(getattr(estimate, part))
                row.append("" if math.isnan(number) else number)
        out.writerow(row)
    return text.getvalue()
