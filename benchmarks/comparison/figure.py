"""Scores, performance profiles, sample efficiency and pairwise probabilities as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from benchmarks.comparison.resampling import performance_profile
from benchmarks.comparison.scores import POINTS, Scores
from benchmarks.reports.ends import name_ends
from benchmarks.reports.escaping import picture_text
from benchmarks.reports.figures import FAINT, STYLE, new_figure, save_picture
from benchmarks.reports.looks import GREY, REST, looks_of, with_colours
from benchmarks.reports.statistics import Estimate

PANEL = 3.3
"""Height of the panels of curves, in inches."""

FLOOR = -0.5
"""Lower scores are only stated in text: a scale that includes them would squeeze the others."""


def draw(
    scores: Sequence[Scores],
    ends: dict[str, Estimate],
    curves: dict[str, Estimate],
    path: Path,
) -> None:
    """Draw scores with intervals, performance profiles, and scores against evaluations.

    Args:
        scores: of each agent, best first.
        ends: final interquartile mean, by agent.
        curves: interquartile mean after each hundredth of the budget.
        path: the PNG to write.
    """
    looks = looks_of([each.agent for each in scores])
    with mpl.rc_context(STYLE):
        figure = new_figure(4.5 + 0.24 * len(scores))
        grid = figure.add_gridspec(2, 2, height_ratios=[0.24 * len(scores) + 0.6, PANEL])
        _intervals(figure.add_subplot(grid[0, :]), scores, ends, looks)
        profiles = figure.add_subplot(grid[1, 0])
        _profiles(profiles, scores, looks)
        _curves(figure.add_subplot(grid[1, 1]), scores, curves, looks)
        handles, labels = profiles.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=4, fontsize=9)
        save_picture(figure, path, bands=True)


def _intervals(
    axes: Axes, scores: Sequence[Scores], ends: dict[str, Estimate], looks: dict
) -> None:
    for y, each in enumerate(scores):
        end, colour = ends[each.agent], looks[each.agent][0]
        value = float(end.value)
        if value < FLOOR:
            axes.plot(FLOOR, y, "<", color=colour)
            axes.annotate(f"    {value:.1f}", (FLOOR, y), va="center", fontsize=9, color=GREY)
            continue
        if np.isfinite(end.low):
            low = max(float(end.low), FLOOR)
            axes.plot([low, float(end.high)], [y, y], color=colour, linewidth=7, alpha=0.3)
        axes.plot(value, y, "o", color=colour)
    axes.set_yticks(range(len(scores)), [picture_text(each.agent) for each in scores])
    axes.invert_yaxis()
    axes.set_title("score (0: uniform, 1: the full network)", loc="left")
    axes.grid(axis="x", color=FAINT)
    axes.set_axisbelow(True)


def _profiles(axes: Axes, scores: Sequence[Scores], looks: dict) -> None:
    everything = np.concatenate([part for each in scores for part in each.reward])
    grid = np.linspace(max(FLOOR, everything.min()), everything.max(), 200)
    # Ends of lines coincide, so only agents with colours are drawn and named.
    coloured = with_colours([each.agent for each in scores])
    for each in (each for each in scores if each.agent in coloured):
        colour, dashes = looks[each.agent]
        profile = performance_profile(each.reward, grid)
        axes.plot(
            grid, profile.value, color=colour, linestyle=dashes, label=picture_text(each.agent)
        )
        if np.isfinite(profile.low).all():
            axes.fill_between(grid, profile.low, profile.high, color=colour, alpha=0.12, lw=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("score")
    axes.set_title("share of runs above a score", loc="left")
    axes.grid(color=FAINT)


def _curves(axes: Axes, scores: Sequence[Scores], curves: dict[str, Estimate], looks: dict) -> None:
    share = np.arange(1, POINTS + 1)
    coloured = with_colours([each.agent for each in scores])
    rest = {each.agent: curves[each.agent].value for each in scores if each.agent not in coloured}
    for values in rest.values():
        axes.plot(share, values, color=REST, linewidth=1)
    for agent in coloured:
        curve, (colour, dashes) = curves[agent], looks[agent]
        axes.plot(share, curve.value, color=colour, linestyle=dashes)
        axes.fill_between(share, curve.low, curve.high, color=colour, alpha=0.12, lw=0)
    tops = [curve.value[-1] for curve in curves.values()]
    low, high = max(FLOOR, min(0.0, *tops)), max(tops)
    axes.set_ylim(low - 0.05 * (high - low), high + 0.1 * (high - low))
    ends = {name: (POINTS, values[-1]) for name, values in rest.items() if values[-1] >= low}
    name_ends(axes, ends, dict.fromkeys(ends, GREY), PANEL)
    axes.xaxis.set_major_formatter(PercentFormatter(POINTS, decimals=0))
    axes.set_xlabel("share of the evaluations spent")
    axes.set_title("score so far", loc="left")
    axes.grid(color=FAINT)


def draw_pairs(agents: Sequence[str], better: np.ndarray, path: Path) -> None:
    """Draw P(the row's agent beats the column's) as a coloured table.

    Args:
        agents: best first.
        better: probabilities, (agents, agents).
        path: the PNG to write.
    """
    n = len(agents)
    with mpl.rc_context(STYLE):
        figure = new_figure(1.6 + 0.34 * n)
        axes = figure.subplots()
        axes.imshow(better, cmap="RdBu", vmin=0, vmax=1, aspect="auto")
        for i in range(n):
            for j in range(n):
                if i != j:
                    dark = abs(better[i, j] - 0.5) > 0.25
                    axes.text(
                        j,
                        i,
                        f"{100 * better[i, j]:.0f}",
                        ha="center",
                        va="center",
                        fontsize=8,
                        color="white" if dark else GREY,
                    )
        names = [picture_text(agent) for agent in agents]
        axes.set_xticks(range(n), names, rotation=40, ha="right", fontsize=9)
        axes.set_yticks(range(n), names, fontsize=9)
        axes.spines[:].set_visible(False)
        axes.set_title("probability in % that a run of the row beats one of the column", loc="left")
        save_picture(figure, path)
