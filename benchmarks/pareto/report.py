"""The report: tables, pictures and a page in the results folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.pareto.figure import draw, page
from benchmarks.pareto.fronts import compare
from benchmarks.pareto.fronts import markdown as compared
from benchmarks.pareto.points import Point
from benchmarks.tables import markdown, terminal

HEADER = ("method", "budget %", "MACs %", "ms", "faster", "before %", "after %", "against full")


def write(points: Sequence[Point], out: Path, title: str, note: str, console: Console) -> None:
    """Write pareto.md, .csv, .png and .html, and show the table.

    Args:
        points: the full network's first.
        out: the folder.
        title: of table and pictures.
        note: what else is to be known of the figures.
        console: where the table is shown.
    """
    draw(points, out / "pareto.png", title)
    page(points, out / "pareto.html", title)
    (out / "pareto.csv").write_text(as_csv(points), encoding="utf-8")
    rows = [cells(point) for point in points]
    text = "\n".join(_markdown(points, rows, title, note))
    (out / "pareto.md").write_text(text, encoding="utf-8")
    console.print(terminal(title, HEADER, rows))
    console.print(f"written to {out}: pareto.md, pareto.csv, pareto.png, pareto.html")


def cells(point: Point) -> list[str]:
    """A row of the table."""
    latency = point.latency
    return [
        point.method,
        f"{100 * point.budget:.0f}",
        f"{100 * point.macs:.1f}",
        f"{latency.ms:.3f}",
        f"{latency.faster:.2f} x [{latency.faster_low:.2f}, {latency.faster_high:.2f}]",
        f"{100 * point.before:.2f}",
        "" if point.after is None else f"{100 * point.after:.2f}",
        "" if point.against is None else str(point.against),
    ]


def as_csv(points: Sequence[Point]) -> str:
    """In full precision."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    names = ("method", "budget", "seed", "macs", "ms", "ms_low", "ms_high")
    names += ("faster", "faster_low", "faster_high", "before", "after", "difference", "low", "high")
    out.writerow(names)
    for p in points:
        t, d = p.latency, p.against
        timed = (t.ms, t.low, t.high, t.faster, t.faster_low, t.faster_high)
        against = ("", "", "") if d is None else (d.mean, d.low, d.high)
        after = "" if p.after is None else p.after
        out.writerow([p.method, p.budget, p.seed, p.macs, *timed, p.before, after, *against])
    return text.getvalue()


def _markdown(
    points: Sequence[Point], rows: Sequence[Sequence[str]], title: str, note: str
) -> list[str]:
    lines = [
        f"# {title}",
        "",
        *markdown(HEADER, rows),
        "",
        "Latency end to end, all networks by turns: median, and how many times as fast as the "
        "original with the quartiles of the rounds' ratios. Differences to the full network, "
        "trained on alike, in points, with the 95 % interval of a bootstrap over images. " + note,
        "",
        "![Fronts](pareto.png)",
        "",
    ]
    if comparisons := compare(points):
        lines += [
            "## Front against front",
            "",
            *compared(comparisons),
            "",
            "Columns are budgets of the front's points; each is compared with the other front at "
            "the point's own MACs or milliseconds, where the other one is a straight line between "
            "its networks. Points of test accuracy, with paired 95 % intervals over images.",
            "",
        ]
    return lines
