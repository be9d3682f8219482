"""The table of all studies, with their commands, costs and results."""

from __future__ import annotations

from pathlib import Path

from benchmarks.filling.cells import RESULTS, difference, first_searched, percent, rows_of
from benchmarks.reports import tables
from benchmarks.reports.escaping import Markdown
from benchmarks.reproducing.configs import Study, load, names


def studies() -> list[str]:
    """Return, for each study of a row of the paper, its command, cost and result."""
    rows = []
    for study in map(load, names()):
        command = Markdown(f"`python -m benchmarks reproduce {study.name}`")
        rows.append([study.paper or "", study.title, command, study.cost, _result(study)])
    rows.sort(key=lambda row: (not row[0], row[0], row[1]))
    return tables.markdown(["in the paper", "here", "command", "cost", "ours"], rows, words=5)


def _result(study: Study) -> Markdown | str:
    """Return the headline of a study's result, with a link to its report."""
    if study.result is None:
        return ""
    folder = RESULTS / study.result
    reports = ("finetuned/finetuned.md", "report.md", "comparison.md", "pareto.md", "signal.md")
    report = next(
        (name for name in (*reports, "stages.md", "signals.md") if (folder / name).exists()), ""
    )
    words = _headline(folder) or "report"
    return Markdown(f"[{words}](../benchmarks/results/{study.result}/{report})")


def _headline(folder: Path) -> str:
    """Return the figures of the most accurate fine-tuned plan of a search, else ""."""
    path = folder / "finetuned" / "finetuned.csv"
    if path.exists():
        row = first_searched(path)
        before, after = percent(row["before"]), percent(row["after"])
        return f"{row['agent']}: {before} → {after} %, {difference(row)} against the full network"
    path = folder / "stages.csv"
    if path.exists():
        row = rows_of(path)[-1]
        return f"{percent(row['density'])} % of the weights: {percent(row['after'])} %"
    return ""
