"""Learning curves as plotly figures, against evaluations and against seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from benchmarks.reports.escaping import plotly_text
from benchmarks.reports.figures import frame
from benchmarks.reports.html.style import Style, faint, new_figure
from benchmarks.reports.html.wall_clock import timed_curves
from benchmarks.reports.statistics import Estimate, Row


def curves(rows: Sequence[Row], style: dict[str, Style]) -> go.Figure:
    """Best reward so far against evaluations: IQM over seeds, and its interval as a band."""
    figure = _new_figure("evaluations (finished plans)", len(rows))
    ordered = _best_first(rows)
    x = np.arange(1, len(rows[0].curve.value) + 1)
    for row in ordered:  # behind all lines
        part = slice(row.begins, None)
        _band(figure, row, x[part], row.curve[part], style[row.agent])
    for row in ordered:
        part = slice(row.begins, None)
        _line(figure, row, x[part], row.curve[part], style[row.agent], "%{x} evaluations")
    figure.update_yaxes(range=frame(rows))
    return figure


def curves_in_time(rows: Sequence[Row], style: dict[str, Style]) -> go.Figure:
    """Draw curves against wall-clock seconds; a dot where an agent had spent its evaluations."""
    figure = _new_figure("seconds since learning began", len(rows))
    ordered = _best_first(rows)
    timed_rows = list(zip(ordered, timed_curves(ordered), strict=True))
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
    figure.update_yaxes(range=frame(rows))
    return figure


def _new_figure(x: str, agents: int) -> go.Figure:
    """Height that the agents' names below the figure need, two to a line of 25 pixels."""
    return new_figure(
        x=x, y="best reward so far", height=max(400, 330 + 25 * math.ceil(agents / 2))
    )


def _best_first(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row.curve.value[-1])


def _band(figure: go.Figure, row: Row, x: np.ndarray, y: Estimate, style: Style) -> None:
    """The interval over seeds, where there is more than one."""
    if row.seeds > 1:
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]).tolist(),
            y=np.concatenate([y.high, y.low[::-1]]).tolist(),
            fill="toself",
            fillcolor=faint(style[0]),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            legendgroup=row.agent,
            showlegend=False,
        )


def _line(
    figure: go.Figure, row: Row, x: np.ndarray, y: Estimate, style: Style, where: str
) -> None:
    colour, dash, _ = style
    figure.add_scatter(
        x=x.tolist(),
        y=y.value.tolist(),
        name=f"{plotly_text(row.agent)}, n = {row.seeds}",
        mode="lines" if row.begins == 0 else "lines+markers",  # a line may be a single point
        marker={"size": 4},
        line={"color": colour, "dash": dash, "width": 2.2},
        legendgroup=row.agent,
        hovertemplate=f"{plotly_text(row.agent)}: %{{y:.4g}} after {where}<extra></extra>",
    )
