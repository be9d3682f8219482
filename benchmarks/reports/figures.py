"""Learning curves and policies as PNG, legible at the width of a README."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image

from amc_gym._utils.files import replacing
from benchmarks.reports.ends import name_ends
from benchmarks.reports.escaping import picture_text
from benchmarks.reports.looks import GREY, REST, looks_of, with_colours
from benchmarks.reports.statistics import Row

FAINT = "#E6E6E6"
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#222222",
    "axes.titlesize": 11,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
}
INCHES, DPI = 9.0, 100
"""Width of every figure, which in pixels is that of a README."""

SHADES = 64
"""Number of colours of a picture, which makes its file a quarter as large without visible loss."""

COLUMNS = 3
"""Most names in a row of the legend below curves; long ones leave room for fewer."""

CURVES = 3.6
"""Height of a panel of learning curves, in inches."""

NAME = 44
"""Most letters of a line above a panel, which has half of the width."""

FAR = 3.0
"""Interquartile ranges below the lower quartile beyond which a curve would flatten all others."""


def learning_curves(rows: Sequence[Row], path: Path, *, title: str, reward: str) -> None:
    """Draw the best reward so far against evaluations: IQM over seeds and its interval as a band.

    Args:
        rows: one per agent; the best ``COLOURED`` have colours, the others are grey.
        path: the PNG to write.
        title: what was searched.
        reward: what the reward is.
    """
    ordered = sorted(rows, key=lambda row: -row.curve.value[-1])
    coloured = with_colours([row.agent for row in ordered])
    rest = [row for row in ordered if row.agent not in coloured]
    limits, last = frame(rows), max(2, len(rows[0].curve.value))
    with mpl.rc_context(STYLE):
        figure = new_figure(CURVES + 1.2)  # until its legend is known
        axes = figure.subplots()
        for row in rest:
            axes.plot(_evaluations(row), row.curve.value, color=REST, linewidth=1.2)
        looks = looks_of([row.agent for row in rows])
        for row in ordered:
            if row.agent in coloured:
                _curve(axes, row, *looks[row.agent], limits[0])
        axes.set_ylim(*limits)
        axes.set_xlim(1, last)
        shown = {row.agent: (last, row.curve.value[-1]) for row in rest}
        ends = {name: end for name, end in shown.items() if end[1] >= limits[0]}
        name_ends(axes, ends, dict.fromkeys(ends, GREY), CURVES)
        axes.set_xlabel("evaluations (finished plans)")
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 2.5, 5, 10]))
        axes.set_ylabel(f"best so far: {reward}")
        if reward.startswith(("accuracy", "score")):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_title(picture_text(title), loc="left")
        axes.grid(axis="y", color=FAINT)
        axes.set_axisbelow(True)
        _legend(figure, axes, [row for row in rest if row.agent not in ends])
        save_picture(figure, path, bands=True)


def _evaluations(row: Row) -> np.ndarray:
    return np.arange(1, len(row.curve.value) + 1)


def _curve(axes: Axes, row: Row, colour: str, dashes: Any, low: float) -> None:
    """Draw a line and its band; a curve that ends below the frame is marked in the legend."""
    curve, x = row.curve, _evaluations(row)
    label = f"{picture_text(row.agent)} (n = {row.seeds})"
    if curve.value[-1] < low:
        label += f", off: {curve.value[-1]:.2f}"
    axes.plot(x, curve.value, color=colour, linestyle=dashes, linewidth=2, label=label)
    if row.seeds > 1:
        axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    if row.begins > 0:
        axes.plot(x[row.begins], curve.value[row.begins], "o", color=colour)


def _legend(figure: Figure, axes: Axes, off: Sequence[Row]) -> None:
    """Draw the legend below the picture, with an explanation of the bands."""
    for row in off:
        said = f"{picture_text(row.agent)}, off: {row.curve.value[-1]:.2f}"
        axes.plot([], [], color=REST, linewidth=1.2, label=said)
    for columns in range(COLUMNS, 0, -1):
        legend = figure.legend(
            loc="outside lower left",
            ncols=columns,
            handlelength=2.6,
            fontsize=10,
            title="interquartile mean over n seeds; band: its 95 % bootstrap interval",
            title_fontsize=9,
            alignment="left",
        )
        if columns == 1 or legend.get_window_extent().width <= 0.98 * figure.bbox.width:
            lines = math.ceil(len(legend.get_texts()) / columns)
            figure.set_figheight(CURVES + 0.55 + 0.22 * lines)
            return
        legend.remove()


def policies(rows: Sequence[Row], path: Path, *, title: str) -> None:
    """Draw the best plan of each agent: kept share of each unit's channels, in execution order.

    Args:
        rows: one per agent; the highest reward over its seeds is shown.
        path: the PNG to write.
        title: what was searched.
    """
    columns = 2 if len(rows) > 1 else 1
    lines = math.ceil(len(rows) / columns)
    with mpl.rc_context(STYLE):
        figure = new_figure(0.9 + 1.75 * lines + 0.6)
        panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        looks = looks_of([row.agent for row in rows])
        for row, axes in zip(rows, panels.flat, strict=False):
            _policy(row, axes, looks[row.agent][0])
        for axes in panels.flat[len(rows) :]:
            axes.axis("off")
        for axes in panels[:, 0]:
            axes.set_ylabel("kept channels")
        figure.suptitle(picture_text(title), x=0.01, ha="left", fontsize=11)
        figure.supxlabel("unit of decision, in execution order", fontsize=11)
        save_picture(figure, path)


def _policy(row: Row, axes: Axes, colour: str) -> None:
    record = row.best
    best, full = record.best, record.full
    shares = [best.kept[unit] / channels for unit, channels in full.channels.items()]
    x = np.arange(1, len(shares) + 1)
    axes.bar(x, 1.0, width=0.8, color=FAINT)
    axes.bar(x, shares, width=0.8, color=colour)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "50%", "100%"])
    axes.set_xlim(0.4, len(shares) + 0.6)
    axes.set_xticks(x if len(x) <= 20 else x[:: math.ceil(len(x) / 20)])
    axes.tick_params(labelsize=9, length=0)
    axes.tick_params(axis="x", labelbottom=True)
    name = textwrap.fill(picture_text(row.agent), NAME)
    axes.set_title(name, loc="left", fontweight="bold", fontsize=10, pad=18)
    judged = f"{best.test_accuracy:.1%} test {best.plan.score_name}, {best.macs_ratio:.1%} MACs"
    axes.text(0, 1.04, judged, transform=axes.transAxes, fontsize=9, color=GREY)


def save_picture(figure: Figure, path: Path, *, bands: bool = False) -> None:
    """Write a figure as a small PNG, completely or not at all.

    Args:
        figure: the figure.
        path: of the PNG.
        bands: whether bands of many agents overlap, which needs more colours than lines do.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=DPI, format="png")
    shades, method = SHADES, Image.Quantize.MAXCOVERAGE
    if bands:
        shades, method = 256, Image.Quantize.MEDIANCUT  # the closest on average
    with Image.open(drawn) as image:
        few = image.convert("RGB").quantize(shades, method=method, dither=Image.Dither.NONE)
    with replacing(path) as file:
        few.save(file, "PNG", optimize=True)


def far_below(ends: Sequence[float]) -> float:
    """Return the end below which curves are left out of the frame (Tukey's outer fence)."""
    lower, upper = np.quantile(ends, (0.25, 0.75))
    return float(lower - FAR * (upper - lower))


def frame(rows: Sequence[Row]) -> tuple[float, float]:
    """Return limits of learning curves, without the initial rise and curves that end far below."""
    floor = far_below([row.curve.value[-1] for row in rows])
    low = min(row.early for row in rows if row.curve.value[-1] >= floor)
    high = max(float(np.nanmax([row.curve.value[-1], row.curve.high[-1]])) for row in rows)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return low - margin, high + margin


def new_figure(height: float) -> Figure:
    """Return a figure with its own canvas, because pyplot would keep a global list of figures."""
    figure = Figure(figsize=(INCHES, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
