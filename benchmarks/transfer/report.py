"""Report on trials: tables on the console, report.md, pictures, and report.html."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from rich.console import Console

from amc_gym._utils.files import write_whole
from benchmarks.reports.escaping import markdown_text, terminal_text
from benchmarks.reports.html.extra import needing_plotly
from benchmarks.reports.tables import markdown, terminal
from benchmarks.studies.runs import BenchmarkError
from benchmarks.transfer import figures
from benchmarks.transfer.policies import label, networks
from benchmarks.transfer.rows import load
from benchmarks.transfer.summary import Summary, counted, titled
from benchmarks.transfer.table import difference_cells, score_cells

TITLE = "One policy for many networks"

NOTES = (
    "Best relative reward so far: 0 is the uniform plan within the budget, 1 the full network. "
    "Interquartile means over contexts [95 % bootstrap interval over networks and trainings of a "
    "policy, or seeds of another agent]; of one network there is no interval."
)

DIFFERENCES = "Differences on the same contexts, which intervals of single scores do not show."

PICTURES = {
    "score.png": "Score against evaluations; bands are 95 % intervals.",
    "zero-shot.png": "One plan in each family: a dot for each network, a bar for their "
    "interquartile mean.",
    "gap.png": "One plan in each group, from what policies were trained on to what is far from it.",
    "networks.png": "One plan against the number of networks that the policy was trained on.",
}
"""Picture -> what it shows."""


def write(folder: Path, console: Console, rows_file: str = "trials.parquet") -> None:
    """Report on the trials of a folder, in it and on ``console``.

    Args:
        folder: folder of the trials.
        console: console to show the tables on.
        rows_file: name of the trials' file.

    Raises:
        BenchmarkError: there are no trials; or plotly is not installed, in which case everything
            but report.html is written.
        OSError: the folder cannot be written.
    """
    rows = load(folder / rows_file)
    if not rows:
        raise BenchmarkError(
            f"no trials in {folder}; make some with: python -m benchmarks transfer run --out "
            f"{folder}"
        )
    summary = Summary(rows)
    for group in summary.groups:
        console.print(terminal(_title(summary, group), *score_cells(summary, group)))
        header, lines = difference_cells(summary, group)
        if lines:
            console.print(terminal(DIFFERENCES, header, lines, words=2))
        for line in summary.incomplete(group):
            console.print(f"[yellow]{terminal_text(line)}", highlight=False, soft_wrap=True)
    drawn = figures.draw(summary, folder)
    write_whole(folder / "report.md", _markdown(summary, drawn))
    write_whole(folder / "report.html", _page(summary))
    written = ", ".join(("report.md", "report.html", *drawn))
    console.print(terminal_text(f"written to {folder}: {written}"), highlight=False, soft_wrap=True)


def _title(summary: Summary, group: str) -> str:
    mine = summary.of(group)
    contexts, nets = ({row[what] for row in mine} for what in ("context", "network"))
    return (
        f"{titled(group)}; {counted(len(contexts), 'context')} of {counted(len(nets), 'network')}"
    )


def _trainings(summary: Summary) -> list[str]:
    """Say for each policy how many trainings were evaluated, on how many networks."""
    lines = []
    for name in summary.policies:
        policies = sorted(
            {row["policy"] for row in summary.rows if row["policy"] and label(row) == name}
        )
        counts: dict[int | None, int] = {}
        for policy in policies:
            counts[networks(policy)] = counts.get(networks(policy), 0) + 1
        sizes = ", ".join(
            counted(n, "training") + ("" if size is None else f" on {counted(size, 'network')}")
            for size, n in sorted(counts.items(), key=lambda item: item[0] or 0)
        )
        lines.append(f"{name}: {sizes}")
    return lines


def _markdown(summary: Summary, drawn: Sequence[str]) -> str:
    lines = [f"# {TITLE}", "", NOTES, ""]
    lines += [f"- {markdown_text(line)}" for line in _trainings(summary)] + [""]
    for group in summary.groups:
        lines += [f"## {markdown_text(_title(summary, group))}", ""]
        lines += [*markdown(*score_cells(summary, group)), ""]
        header, differences = difference_cells(summary, group)
        if differences:
            lines += [DIFFERENCES, "", *markdown(header, differences, words=2), ""]
        lines += [f"- {markdown_text(line)}" for line in summary.incomplete(group)]
    for name in drawn:
        lines += ["", f"![{PICTURES[name]}]({name})", "", PICTURES[name]]
    return "\n".join([*lines, ""])


def _page(summary: Summary) -> str:
    with needing_plotly():
        from benchmarks.reports.html.document import document, plot
        from benchmarks.reports.html.style import styles
        from benchmarks.reports.html.tables import sortable_table
        from benchmarks.transfer import plots
    style = styles(label(row) for row in summary.rows)
    body = [f"<h1>{TITLE}</h1>", f"<p class='soft'>{escape(NOTES)}</p>"]
    body += [f"<p class='soft'>{escape(line)}</p>" for line in _trainings(summary)]
    for i, group in enumerate(summary.groups):
        header, differences = difference_cells(summary, group)
        body += [
            f"<h2>{escape(_title(summary, group))}</h2>",
            sortable_table(*score_cells(summary, group)),
            *(f"<p class='soft'>{escape(line)}</p>" for line in summary.incomplete(group)),
            plot(plots.score(summary, group, style), f"score{i}"),
        ]
        if differences:
            body += [f"<h3>{DIFFERENCES}</h3>", sortable_table(header, differences)]
    further = {
        "One plan on each network, family by family": plots.families(summary, style),
        "One plan in each group, from near to far": plots.gaps(summary, style),
        **{
            f"{name}: one plan against the number of training networks": plots.sizes(summary, name)
            for name in summary.policies
        },
    }
    for i, (title, figure) in enumerate(further.items()):
        if figure is not None:
            body += [f"<h2>{escape(title)}</h2>", plot(figure, f"further{i}")]
    return document(TITLE, body)
