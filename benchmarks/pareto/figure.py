"""The fronts as a PNG, and as a web page with details on hover."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from plotly.subplots import make_subplots

from amc_gym._utils.files import write_whole
from benchmarks.pareto.points import Point, by_budget, by_method
from benchmarks.reports.figures import FAINT, STYLE, new_figure, save_picture
from benchmarks.reports.html.document import document, plot
from benchmarks.reports.looks import GREY, looks_of

SIZES: dict[str, Callable[[Point], float]] = {
    "MACs kept, %": lambda point: 100 * point.macs,
    "measured latency, ms": lambda point: point.latency.ms,
}
ACCURACIES: dict[str, Callable[[Point], float | None]] = {
    "before fine-tuning": lambda point: point.before,
    "after fine-tuning": lambda point: point.after,
}


def draw(points: Sequence[Point], path: Path, title: str) -> None:
    """Draw accuracy against MACs and latency, before and, if done, after fine-tuning."""
    full, methods = points[0], by_method(points)
    colours = _colours(points[1:])
    rows = [name for name, of in ACCURACIES.items() if any(of(p) is not None for p in points[1:])]
    with mpl.rc_context(STYLE):
        figure = new_figure(3.1 * len(rows) + 0.9)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
        panels = figure.subplots(len(rows), 2, squeeze=False)
        for line, row in zip(panels, rows, strict=True):
            for axes, (size, x_of) in zip(line, SIZES.items(), strict=True):
                for method, theirs in methods.items():
                    dashes = "--" if theirs[0].resource == "latency" else "-"
                    colour = colours[theirs[0].agent]
                    _front(axes, theirs, x_of, ACCURACIES[row], method, colour, dashes)
                whole = ACCURACIES[row](full)
                if whole is not None:
                    axes.plot(x_of(full), 100 * whole, "*", color=GREY, ms=11, label=full.method)
                axes.set_xlabel(size)
                axes.grid(color=FAINT)
                axes.set_axisbelow(True)
            line[0].set_ylabel(f"test accuracy, %\n{row}")
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
        save_picture(figure, path)


def _front(
    axes: Axes,
    points: Sequence[Point],
    x_of: Callable[[Point], float],
    y_of: Callable[[Point], float | None],
    method: str,
    colour: str,
    dashes: str,
) -> None:
    """Draw a line through the means over seeds, and several networks as faint points."""
    means, networks = _means(points, x_of, y_of), _places(points, x_of, y_of)
    if not means:
        return
    axes.plot(*np.transpose(means), "o", ls=dashes, color=colour, ms=4, lw=1.6, label=method)
    if len(networks) > len(means):
        axes.plot(*np.transpose(networks), "o", color=colour, ms=3, mew=0, alpha=0.35)


def _places(
    points: Sequence[Point],
    x_of: Callable[[Point], float],
    y_of: Callable[[Point], float | None],
) -> list[tuple[float, float]]:
    """Return size and accuracy in % of each network that has one."""
    return [(x_of(point), 100 * y) for point in points if (y := y_of(point)) is not None]


def _means(
    points: Sequence[Point],
    x_of: Callable[[Point], float],
    y_of: Callable[[Point], float | None],
) -> list[tuple[float, float]]:
    """Return means of size and accuracy over the seeds of each budget, the smallest first."""
    seeds = [_places(each, x_of, y_of) for each in by_budget(points).values()]
    return sorted(
        (float(x), float(y)) for places in seeds if places for x, y in [np.mean(places, 0)]
    )


def page(points: Sequence[Point], path: Path, title: str) -> None:
    """Write the fronts as one self-contained HTML file, with details for every point."""
    methods = {points[0].method: [points[0]], **by_method(points)}
    colours = {points[0].agent: GREY} | _colours(points[1:])
    rows = [name for name, of in ACCURACIES.items() if any(of(p) is not None for p in points[1:])]
    figure = make_subplots(rows=len(rows), cols=2, horizontal_spacing=0.08)
    for i, row in enumerate(rows, start=1):
        for j, (size, x_of) in enumerate(SIZES.items(), start=1):
            for method, theirs in methods.items():
                for trace in _traces(
                    theirs, method, colours[theirs[0].agent], x_of, ACCURACIES[row]
                ):
                    trace.update(legendgroup=method, showlegend=trace.showlegend and i == j == 1)
                    figure.add_trace(trace, row=i, col=j)
            figure.update_xaxes(title_text=size, row=i, col=j)
        figure.update_yaxes(title_text=f"test accuracy, % {row}", row=i, col=1)
    figure.update_layout(template="plotly_white", height=420 * len(rows) + 80)
    body = [f"<h1>{escape(title)}</h1>", plot(figure, "fronts")]
    write_whole(path, document(title, body))


def _traces(
    points: Sequence[Point],
    method: str,
    colour: str,
    x_of: Callable[[Point], float],
    y_of: Callable[[Point], float | None],
) -> list[go.Scatter]:
    """Return the line through a method's means, with its legend, and the points of its networks."""
    dash = "dash" if points[0].resource == "latency" else "solid"
    means, places = _means(points, x_of, y_of), _places(points, x_of, y_of)
    known = [point for point in points if y_of(point) is not None]
    line = go.Scatter(
        x=[x for x, _ in means],
        y=[y for _, y in means],
        name=method,
        mode="lines+markers",
        line={"color": colour, "dash": dash},
        marker={"symbol": "circle" if points[0].resource else "star", "size": 8},
        hoverinfo="skip",
        showlegend=True,
    )
    networks = go.Scatter(
        x=[x for x, _ in places],
        y=[y for _, y in places],
        customdata=[(p.budget, p.macs, p.latency.ms, p.latency.faster, p.seed) for p in known],
        mode="markers",
        marker={"color": colour, "size": 5},
        showlegend=False,
        hovertemplate=(
            f"{method}, budget %{{customdata[0]:.0%}}, seed %{{customdata[4]}}<br>"
            "%{y:.2f} %, %{customdata[1]:.1%} of the MACs<br>"
            "%{customdata[2]:.3f} ms, %{customdata[3]:.2f} x<extra></extra>"
        ),
    )
    return [line, networks]


def _colours(points: Iterable[Point]) -> dict[str, str]:
    """Return agent -> colour; dashes distinguish the resources."""
    return {agent: look[0] for agent, look in looks_of(p.agent for p in points).items()}
