"""Pictures of `python -m benchmarks transfer`, legible at the width of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from benchmarks.reports.ends import name_ends
from benchmarks.reports.escaping import picture_text
from benchmarks.reports.figures import FAINT, STYLE, new_figure, save_picture
from benchmarks.reports.looks import GREY, looks_of, marker_of
from benchmarks.reports.statistics import Estimate, iqm
from benchmarks.transfer.policies import label
from benchmarks.transfer.rows import AFTER
from benchmarks.transfer.summary import Summary, counted, evaluated, titled, within

SCORE = "relative reward (0: uniform, 1: full network)"
FLOOR = -0.5
"""Lower scores are drawn here: showing them in place would leave no room for the others."""

PANEL = 2.4
"""Height of a panel of curves in inches, without its title."""


def draw(summary: Summary, folder: Path) -> list[str]:
    """Draw every picture for which there are figures, and return the names of the files."""
    looks = looks_of(list({label(row) for row in summary.rows}))
    drawn = {
        "score.png": lambda path: scores(summary, looks, path),
        "zero-shot.png": lambda path: families(summary, looks, path),
        "gap.png": lambda path: gaps(summary, looks, path),
        "networks.png": lambda path: sizes(summary, looks, path),
    }
    with mpl.rc_context(STYLE):
        return [name for name, make in drawn.items() if make(folder / name)]


Looks = Mapping[str, tuple[str, Any]]


def scores(summary: Summary, looks: Looks, path: Path) -> bool:
    """Draw the best score so far against evaluations, one panel per group with several points."""
    curves = summary.curves
    groups = [g for g in summary.groups if any(len(each) > 1 for each in curves[g].values())]
    if not groups:
        return False
    figure = new_figure(0.5 + (PANEL + 0.4) * len(groups))
    panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
    for axes, group in zip(panels, groups, strict=True):
        found = curves[group]
        for name, each in found.items():
            _line(axes, each, looks[name])
        _score_axis(axes, "y")
        axes.set_xscale("log")
        axes.set_xlim(0.9, AFTER[-1] * 3.2)  # room for names
        axes.xaxis.set_major_locator(FixedLocator(AFTER))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels(map(str, AFTER))
        networks = len({row["network"] for row in summary.of(group)})
        axes.set_title(picture_text(f"{titled(group)}; {counted(networks, 'network')}"), loc="left")
        _name_ends(axes, found, looks)
    panels[-1].set_xlabel("evaluations")
    figure.supylabel(f"best so far: {SCORE}", fontsize=11)
    save_picture(figure, path, bands=True)
    return True


def _line(axes: Axes, curve: Mapping[int, Estimate], look: tuple[str, Any]) -> None:
    colour, dashes = look
    x = list(curve)
    values, lows, highs = within(curve.values(), FLOOR)
    axes.plot(x, values, color=colour, linestyle=dashes, linewidth=2)
    axes.fill_between(x, lows, highs, color=colour, alpha=0.1, linewidth=0)
    axes.plot(x[-1], values[-1], markersize=5, **marker_of(look))
    if len(x) == 1:
        axes.plot([x[0], x[0]], [lows[0], highs[0]], color=colour, linewidth=5, alpha=0.3)


def _name_ends(axes: Axes, found: Mapping[str, Mapping[int, Estimate]], looks: Looks) -> None:
    """Write each line's name at its right end."""
    last = {name: max(each) for name, each in found.items()}
    ends = {name: (x, max(float(found[name][x].value), FLOOR)) for name, x in last.items()}
    name_ends(axes, ends, {name: looks[name][0] for name in found}, PANEL)


def _score_axis(axes: Axes, which: str) -> None:
    """Add a grid, and mark the uniform plan and the full network."""
    axes.grid(axis=which, color=FAINT)  # pyright: ignore[reportArgumentType]
    axes.set_axisbelow(True)
    mark = axes.axhline if which == "y" else axes.axvline
    mark(0, color=GREY, linewidth=0.8)
    low, high = axes.get_ylim() if which == "y" else axes.get_xlim()
    limits = (max(low, FLOOR - 0.06), min(max(high, 1.0), 1.1))
    axes.set_ylim(*limits) if which == "y" else axes.set_xlim(*limits)


def families(summary: Summary, looks: Looks, path: Path) -> bool:
    """Draw the score of one plan by family: a dot for each network, a bar for their mean."""
    found = summary.zero_shot
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    if not found:
        return False
    figure = new_figure(1.1 + 0.14 * len(found) + 0.17 * sum(map(len, found.values())))
    axes, y, ticks = figure.subplots(), 0.0, []
    for family, each in found.items():
        begin = y
        for name, scores in each.items():
            colour, values = looks[name][0], np.array([*scores.of_each().values()])
            dots = {**marker_of(looks[name]), "linestyle": "", "markersize": 4.5, "alpha": 0.55}
            axes.plot(np.maximum(values, FLOOR), np.full(len(values), y), **dots)
            mean = max(float(iqm(values)), FLOOR)
            axes.plot([mean, mean], [y - 0.45, y + 0.45], color=colour, linewidth=3)
            y += 1
        ticks.append(((begin + y - 1) / 2, family))
        axes.axhline(y - 0.1, color=FAINT, linewidth=0.8)
        y += 0.8
    axes.set_yticks([place for place, _ in ticks], [picture_text(name) for _, name in ticks])
    axes.set_ylim(y - 0.9, -0.9)
    _score_axis(axes, "x")
    axes.set_xlabel(SCORE)
    _legend(figure, names, looks)
    save_picture(figure, path, bands=True)
    return True


def _legend(figure: Any, names: Sequence[str], looks: Looks) -> None:
    """Name the agents below the picture, each with the number of its evaluations."""
    for name in names:
        said = picture_text(evaluated(name))
        figure.axes[0].plot([], [], linewidth=3, label=said, **marker_of(looks[name]))
    figure.legend(loc="outside lower left", ncols=3, fontsize=10)


def gaps(summary: Summary, looks: Looks, path: Path) -> bool:
    """Draw the score of one plan by group, from the training networks to the most distant ones."""
    found, groups = summary.gap, summary.groups
    if not found or len(groups) < 2:
        return False
    figure = new_figure(4.2)
    axes = figure.subplots()
    for i, (name, each) in enumerate(found.items()):
        colour = looks[name][0]
        x = np.array([groups.index(g) for g in each]) + 0.11 * (i - (len(found) - 1) / 2)
        values, low, high = within(each.values(), FLOOR)
        axes.vlines(x, low, high, color=colour, linewidth=6, alpha=0.3)
        axes.plot(x, values, linestyle="", **marker_of(looks[name]))
    axes.set_xticks(range(len(groups)), [picture_text(group) for group in groups])
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_ylabel(SCORE)
    _score_axis(axes, "y")
    axes.tick_params(axis="x", length=0)
    _legend(figure, list(found), looks)
    save_picture(figure, path, bands=True)
    return True


def sizes(summary: Summary, looks: Looks, path: Path) -> bool:
    """Draw the score of one plan against the number of networks that a policy was trained on."""
    found = summary.sizes
    groups = [g for g in summary.groups if any(g in each for each in found.values())]
    if not groups:
        return False
    figure = new_figure(3.6)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    known = sorted({n for each in found.values() for curve in each.values() for n in curve})
    for axes, group in zip(panels, groups, strict=True):
        for name in found:
            if group in found[name]:
                _line(axes, found[name][group], looks[name])
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(known))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels(map(str, known), fontsize=8)
        axes.set_title(picture_text(group), loc="left")
        axes.grid(axis="y", color=FAINT)
        axes.set_axisbelow(True)
    panels[0].set_ylabel("relative reward")
    figure.supxlabel("networks that the policy was trained on", fontsize=11)
    _legend(figure, list(found), looks)
    save_picture(figure, path, bands=True)
    return True
