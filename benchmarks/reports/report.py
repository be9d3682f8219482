"""Report on a results folder: Markdown, CSV, pictures, a page, and a table on the terminal."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from amc_gym._utils.files import write_whole
from benchmarks.reports import figures
from benchmarks.reports.against import compared
from benchmarks.reports.escaping import (
    PlainRows,
    markdown_code,
    markdown_text,
    terminal_text,
)
from benchmarks.reports.html.extra import needing_plotly
from benchmarks.reports.sections import (
    REWARDS,
    Section,
    caption,
    cells,
    codes,
    distinct,
    explanation,
    header,
    origin,
    sections_of,
    unfinished_lines,
)
from benchmarks.reports.tables import markdown, terminal
from benchmarks.studies import manifest
from benchmarks.studies.journals import load as load_journals
from benchmarks.studies.records import Store
from benchmarks.studies.runs import BenchmarkError


def write(folder: Path, console: Console, against: Path | None = None) -> list[Section]:
    """Report on the runs of ``folder``, by files in it and on ``console``.

    Unfinished runs are listed, and are in no figure.

    Args:
        folder: folder of the runs.
        console: console that shows the tables.
        against: another results folder to compare agents with.

    Returns:
        One section per setting.

    Raises:
        BenchmarkError: the folder holds no run, or cannot be written; or plotly is not installed,
            in which case everything but report.html is written.
    """
    store = Store(folder)
    records, foreign = store.load()
    journals, broken = load_journals(folder)
    foreign |= broken
    for path, problem in foreign.items():
        console.print(
            f"[yellow]{terminal_text(path.name)} does not count: {terminal_text(problem)}"
        )
    missing = manifest.missing(folder, (record.run.name for record in records))
    unfinished = unfinished_lines(journals, missing)
    if not records and not journals:
        raise BenchmarkError(
            f"no finished runs in {folder}: first use python -m benchmarks run --out {folder} ..."
        )
    store.prepare()
    sections = sections_of(records)
    for section in sections:
        _draw(section, folder)
        console.print(_table(section))
    for line in unfinished:
        console.print(
            f"[yellow]not finished: {terminal_text(line)}", highlight=False, soft_wrap=True
        )
    text = _markdown(sections, foreign, unfinished)
    write_whole(folder / "report.md", text)
    write_whole(folder / "report.csv", _csv(sections))
    if against is not None:
        for shown in compared(sections, against):
            if isinstance(shown, str):
                shown = terminal_text(shown)
            console.print(shown, highlight=False, soft_wrap=isinstance(shown, str))
    written = terminal_text(f"written to {folder}: report.md, report.csv and pictures")
    console.print(written, highlight=False)
    if sections:
        _write_page(sections, foreign, unfinished, folder / "report.html")
        page = terminal_text(f"the page, for a browser: {folder / 'report.html'}")
        console.print(page, highlight=False, soft_wrap=True)
    return sections


def _write_page(
    sections: Sequence[Section], foreign: dict[Path, str], unfinished: Sequence[str], path: Path
) -> None:
    with needing_plotly():
        from benchmarks.reports.html.page import page
    write_whole(path, page(sections, foreign, unfinished))


def _draw(section: Section, folder: Path) -> None:
    reward = str(section.setting.options["reward"])
    figures.learning_curves(
        section.rows,
        folder / f"learning-curves{section.suffix}.png",
        title=section.title,
        reward=REWARDS.get(reward, reward),
    )
    figures.policies(section.rows, folder / f"policies{section.suffix}.png", title=section.title)


def _table(section: Section) -> Table:
    table = terminal(section.title, list(header(section).values()), cells(section))
    table.caption, table.caption_justify = caption(section), "left"
    table.rows[0].end_section = True  # the full network's
    return table


def _markdown(
    sections: Iterable[Section], foreign: dict[Path, str], unfinished: Sequence[str]
) -> str:
    lines = ["# Agents compared", ""]
    if unfinished:
        lines += ["## Not finished, and in no figure", ""]
        lines += [f"- {markdown_text(line)}" for line in unfinished] + [""]
    for section in sections:
        lines += _markdown_section(section)
    if foreign:
        lines += ["## Files that do not count", ""]
        lines += [
            f"- {markdown_code(path.name)}: {markdown_text(problem)}"
            for path, problem in foreign.items()
        ] + [""]
    return "\n".join(lines)


def _markdown_section(section: Section) -> list[str]:
    full, setting = section.records[0].full, section.setting
    lines = [
        f"## {markdown_text(section.title)}",
        "",
        *markdown(list(header(section)), cells(section)),
        "",
        explanation(section),
        "",
        f"![Learning curves](learning-curves{section.suffix}.png)",
        "",
        f"Best reward so far ({full.reward_images} reward images): interquartile mean over n "
        "seeds; the band is its 95 % bootstrap interval.",
        "",
        f"![Policies](policies{section.suffix}.png)",
        "",
        f"Share of channels kept in the best plan of each agent's seeds; its accuracy on "
        f"{full.test_images} test images.",
        "",
    ]
    units = enumerate(full.channels.items(), start=1)
    layers = [[str(i), markdown_code(name), str(channels)] for i, (name, channels) in units]
    lines += markdown(["unit", "layer", "channels"], layers, words=2)
    options = ", ".join(f"{name}={value!r}" for name, value in setting.options.items())
    lines += [
        "",
        f"- Task: {markdown_text(origin(setting))}; fingerprint `{setting.task[:12]}`",
        f"- Options: {markdown_code(options)}",
        f"- Code of the agents: {markdown_text(codes(section))}",
        *(
            f"- {what}: {markdown_text(text)}"
            for what, facts in (
                ("Measured on", [r.machine for r in section.records]),
                ("With", [r.versions for r in section.records]),
            )
            for text in distinct(facts)
        ),
        f"- Runs ended {min(r.date for r in section.records)[:10]} to "
        f"{max(r.date for r in section.records)[:10]}",
        "",
    ]
    return lines


def _csv(sections: Iterable[Section]) -> str:
    """Return CSV: one line per agent and setting, in full precision; empty without an interval."""
    text = io.StringIO()
    out = PlainRows(text)
    estimates = ("reward", "reward_accuracy", "test_accuracy", "macs_ratio")
    counts = ("seeds", "evaluations", "distinct", "seconds", "agent_seconds")
    ends = [f"{name}{end}" for name in estimates for end in ("", "_low", "_high")]
    out.writerow(["env", "setting", "episodes", "agent", *counts, *ends])
    for section in sections:
        setting = section.setting
        key = [setting.env, setting.digest, setting.episodes]
        full = section.records[0].full
        whole = ["", full.reward_accuracy, full.test_accuracy, 1.0]
        cells = [cell for value in whole for cell in (value, "", "")]
        out.writerow([*key, "full network", *[""] * len(counts), *cells])
        for row in section.rows:
            values: list[object] = [getattr(row, name) for name in counts]
            for name in estimates:
                estimate = getattr(row, name)
                for value in (estimate.value, estimate.low, estimate.high):
                    values.append("" if math.isnan(value) else float(value))
            out.writerow([*key, row.agent, *values])
    return text.getvalue()
