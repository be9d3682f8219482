"""The report: tables, pictures and a web page in the results folder."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from amc_gym._utils.files import write_whole
from benchmarks.finetuning.paired import difference
from benchmarks.pareto.figure import draw, page
from benchmarks.pareto.fronts import compare
from benchmarks.pareto.fronts import markdown as compared
from benchmarks.pareto.points import Point, by_budget
from benchmarks.reports.escaping import PlainRows
from benchmarks.reports.tables import markdown, terminal

HEADER = ("method", "budget %", "networks", "MACs %", "ms", "faster", "before %", "after %")
HEADER += ("against full",)


def write(points: Sequence[Point], out: Path, title: str, note: str, console: Console) -> None:
    """Write pareto.md, .csv, .png and .html, and show the table.

    Args:
        points: all points, that of the full network first.
        out: the folder.
        title: title of table and pictures.
        note: further remarks on the figures.
        console: console that shows the table.
    """
    draw(points, out / "pareto.png", title)
    page(points, out / "pareto.html", title)
    write_whole(out / "pareto.csv", as_csv(points))
    rows = [cells(seeds, points[0]) for seeds in by_budget(points).values()]
    text = "\n".join(_markdown(points, rows, title, note))
    write_whole(out / "pareto.md", text)
    console.print(terminal(title, HEADER, rows))
    console.print(f"written to {out}: pareto.md, pareto.csv, pareto.png, pareto.html")


def cells(seeds: Sequence[Point], full: Point) -> list[str]:
    """Return a row of the table: means over the seeds of a method at a budget."""

    def mean(values: Iterable[float]) -> float:
        return float(np.mean(list(values)))

    faster, low, high = (
        mean(getattr(point.latency, name) for point in seeds)
        for name in ("faster", "faster_low", "faster_high")
    )
    after = [point.right_after for point in seeds if point.right_after is not None]
    against = seeds[0].against
    if len(seeds) > 1 and after and full.right_after is not None:
        against = difference(after, [full.right_after])
    return [
        seeds[0].method,
        f"{100 * seeds[0].budget:.0f}",
        str(len(seeds)) + (f", {len(after)} fine-tuned" if 0 < len(after) < len(seeds) else ""),
        f"{100 * mean(point.macs for point in seeds):.1f}",
        f"{mean(point.latency.ms for point in seeds):.3f}",
        f"{faster:.2f} x [{low:.2f}, {high:.2f}]",
        f"{100 * mean(point.before for point in seeds):.2f}",
        f"{100 * np.mean(after):.2f}" if after else "",
        "" if against is None else str(against),
    ]


def as_csv(points: Sequence[Point]) -> str:
    """Return CSV with one row for each network, in full precision."""
    text = io.StringIO()
    out = PlainRows(text)
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
        "Means over the networks of a row, each of another search seed. Latency end to end, all "
        "networks by turns: median, and how many times as fast as the original with the quartiles "
        "of the rounds' ratios. Differences to the full network, trained further, in points, with "
        "the 95 % interval of a bootstrap over images and networks. " + note,
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
            "Columns are budgets of the front's networks; each is compared with the other front "
            "at the network's own MACs or milliseconds, where the other one is a straight line "
            "between its networks, each seed's with each seed's. Points of test accuracy, with "
            "paired 95 % intervals over images and seeds.",
            "",
        ]
    return lines
