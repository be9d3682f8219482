"""Learning curves as plotly figures, against evaluations and against seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from benchmarks.reports.ends import apart
from benchmarks.reports.escaping import plotly_text
from benchmarks.reports.figures import frame
from benchmarks.reports.html.style import GREY, Style, faint, new_figure
from benchmarks.reports.html.wall_clock import timed_curves
from benchmarks.reports.looks import COLOURED, REST, with_colours
from benchmarks.reports.statistics import Estimate, Row

HEIGHT = 260
"""Height of the curves in pixels, without titles and legend."""


def curves(rows: Sequence[Row], style: dict[str, Style], *, shares: bool) -> go.Figure:
    """Draw the best reward so far against evaluations: IQM over seeds, its interval as a band.

    Args:
        rows: one per agent.
        style: of each agent.
        shares: whether the reward is a share, shown in percent.
    """
    figure = _new_figure("evaluations (finished plans)", min(COLOURED, len(rows)))
    ordered = _best_first(rows)
    x = np.arange(1, len(rows[0].curve.value) + 1)
    coloured = with_colours([row.agent for row in ordered])
    for row in ordered:  # drawn behind all lines
        part = slice(row.begins, None)
        if row.agent not in coloured:
            _rest(figure, row, x[part], row.curve[part])
            continue
        _band(figure, row, x[part], row.curve[part], style[row.agent])
    for row in (row for row in ordered if row.agent in coloured):
        part = slice(row.begins, None)
        _line(figure, row, x[part], row.curve[part], style[row.agent], "%{x} evaluations")
    _name_rest(figure, rows, coloured)
    figure.update_yaxes(range=frame(rows), tickformat=".0%" if shares else None)
    return figure


def curves_in_time(rows: Sequence[Row], style: dict[str, Style], *, shares: bool) -> go.Figure:
    """Draw curves against wall-clock seconds; a dot where an agent had spent its evaluations.

    Arguments are those of ``curves``.
    """
    figure = _new_figure("seconds since learning began", min(COLOURED, len(rows)))
    ordered = _best_first(rows)
    timed_rows = list(zip(ordered, timed_curves(ordered), strict=True))
    coloured = with_colours([row.agent for row in ordered])
    for row, timed in timed_rows:
        if row.agent not in coloured:
            _rest(figure, row, timed.seconds, timed.reward)
    timed_rows = [(row, timed) for row, timed in timed_rows if row.agent in coloured]
    for row, timed in timed_rows:
        _band(figure, row, timed.seconds, timed.reward, style[row.agent])
    for row, timed in timed_rows:
        _line(figure, row, timed.seconds, timed.reward, style[row.agent], "%{x:.3g} s")
        end = float(np.interp(timed.ended, timed.seconds, timed.reward.value))
        figure.add_scatter(
            x=[timed.ended],
            y=[end],
            mode="markers",
            marker={"color": style[row.agent][0], "size": 8},
            legendgroup=row.agent,
            showlegend=False,
            hovertemplate=f"{plotly_text(row.agent)}: spent after %{{x:.3g}} s<extra></extra>",
        )
    figure.update_xaxes(type="log", dtick=1)
    _name_rest(figure, rows, coloured)
    figure.update_yaxes(range=frame(rows), tickformat=".0%" if shares else None)
    return figure


def _new_figure(x: str, agents: int) -> go.Figure:
    """Return a figure with room for the agents' names below it, two to a line of 25 pixels."""
    return new_figure(
        x=x, y="best reward so far", height=max(400, 330 + 25 * math.ceil(agents / 2))
    )


def _best_first(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row.curve.value[-1])


def _band(figure: go.Figure, row: Row, x: np.ndarray, y: Estimate, style: Style) -> None:
    """Draw the interval over seeds, if there are several."""
    if row.seeds > 1:
        (x_high, high), (x_low, low) = _corners(x, y.high), _corners(x, y.low)
        figure.add_scatter(
            x=_short(np.concatenate([x_high, x_low[::-1]])),
            y=_short(np.concatenate([high, low[::-1]])),
            fill="toself",
            fillcolor=faint(style[0]),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            legendgroup=row.agent,
            showlegend=False,
        )


def _corners(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of a line without those between two of the same height."""
    same = y[1:] == y[:-1]
    kept = ~np.concatenate([[False], same]) | ~np.concatenate([same, [False]])
    return x[kept], y[kept]


def _rest(figure: go.Figure, row: Row, x: np.ndarray, y: Estimate) -> None:
    """Draw the grey line of an agent without a colour."""
    figure.add_scatter(
        x=_short(x),
        y=_short(y.value),
        mode="lines",
        line={"color": REST, "width": 1.2},
        showlegend=False,
        hovertemplate=f"{plotly_text(row.agent)}: %{{y:.4g}}<extra></extra>",
    )


def _name_rest(figure: go.Figure, rows: Sequence[Row], coloured: Sequence[str]) -> None:
    """Write the names of grey lines where they end."""
    low, high = frame(rows)
    rest = {row.agent: float(row.curve.value[-1]) for row in rows if row.agent not in coloured}
    names = sorted((name for name, end in rest.items() if end >= low), key=lambda name: rest[name])
    points = HEIGHT / (high - low)
    places = apart(points * np.array([rest[name] for name in names])) / points if names else []
    for name, place in zip(names, places, strict=True):
        figure.add_annotation(
            xref="paper",
            x=1,
            xanchor="right",
            y=float(place),
            text=plotly_text(name),
            showarrow=False,
            font={"color": GREY, "size": 11},
        )


def _line(
    figure: go.Figure, row: Row, x: np.ndarray, y: Estimate, style: Style, where: str
) -> None:
    colour, dash, _ = style
    figure.add_scatter(
        x=_short(x),
        y=_short(y.value),
        name=f"{plotly_text(row.agent)}, n = {row.seeds}",
        mode="lines" if row.begins == 0 else "lines+markers",  # else the line is a single point
        marker={"size": 4},
        line={"color": colour, "dash": dash, "width": 2.2},
        legendgroup=row.agent,
        hovertemplate=f"{plotly_text(row.agent)}: %{{y:.4g}} after {where}<extra></extra>",
    )


def _short(values: np.ndarray) -> list[float]:
    """Return values with four digits, which are enough for a plot."""
    return [float(f"{value:.4g}") for value in values.tolist()]
