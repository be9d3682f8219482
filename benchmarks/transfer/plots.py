"""Plots of the page of `python -m benchmarks transfer`, the counterparts of `figures`."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from benchmarks.reports.escaping import plotly_text
from benchmarks.reports.html.style import GREY, Style, faint, new_figure, styles
from benchmarks.reports.statistics import Estimate
from benchmarks.transfer.figures import FLOOR, SCORE
from benchmarks.transfer.rows import AFTER
from benchmarks.transfer.summary import Summary, evaluated, within

Styles = Mapping[str, Style]


def score(summary: Summary, group: str, style: Styles) -> go.Figure:
    """Plot the best score so far against evaluations, over the contexts of a group."""
    figure = new_figure("evaluations", "best relative reward so far", 460)
    found = summary.curves[group]
    for name, curve in sorted(found.items(), key=lambda item: -max(_values(item[1]))):
        _curve(figure, name, curve, style[name], "evaluations")
    figure.update_xaxes(type="log", tickvals=list(AFTER), ticktext=list(map(str, AFTER)))
    return _framed(figure)


def families(summary: Summary, style: Styles) -> go.Figure | None:
    """Plot the score of one plan on each network, family by family."""
    found = summary.zero_shot
    if not found:
        return None
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    figure = new_figure(SCORE, "", 120 + 18 * sum(map(len, found.values())))
    for i, name in enumerate(names):
        points = [
            (family, network, value)
            for family, each in found.items()
            if name in each
            for network, value in each[name].of_each().items()
        ]
        place = 0.7 * (i - (len(names) - 1) / 2) / len(names)
        figure.add_scatter(
            x=[max(value, FLOOR) for _, _, value in points],
            y=[list(found).index(family) + place for family, _, _ in points],
            customdata=[[network, value] for _, network, value in points],
            name=plotly_text(evaluated(name)),
            mode="markers",
            marker={"color": style[name][0], "symbol": style[name][2], "size": 8, "opacity": 0.7},
            hovertemplate=f"{plotly_text(name)} on %{{customdata[0]}}: %{{customdata[1]:.2f}}"
            "<extra></extra>",
        )
    figure.update_yaxes(
        tickvals=list(range(len(found))),
        ticktext=list(map(plotly_text, found)),
        range=(len(found) - 0.5, -0.5),
        showgrid=False,
    )
    figure.update_xaxes(showgrid=True)
    return figure


def gaps(summary: Summary, style: Styles) -> go.Figure | None:
    """Plot the score of one plan in each group, from near to far."""
    found = summary.gap
    if not found:
        return None
    figure = new_figure("", "relative reward", 420)
    for name, each in found.items():
        values, low, high = within(each.values(), FLOOR)
        figure.add_scatter(
            x=list(map(plotly_text, each)),
            y=values.tolist(),
            error_y={
                "array": (high - values).tolist(),
                "arrayminus": (values - low).tolist(),
                "color": style[name][0],
            },
            name=plotly_text(evaluated(name)),
            mode="lines+markers",
            line={"color": style[name][0], "dash": style[name][1], "width": 1.2},
            marker={"symbol": style[name][2], "size": 9},
            hovertemplate=f"{plotly_text(name)}, %{{x}}: %{{y:.2f}}<extra></extra>",
        )
    return _framed(figure)


def sizes(summary: Summary, policy: str) -> go.Figure | None:
    """Plot the score of a policy's first plan against its training networks, one line per group."""
    found = summary.sizes.get(policy)
    if not found:
        return None
    figure = new_figure("networks that it was trained on", "relative reward", 400)
    groups = styles(found)
    for group, curve in found.items():
        _curve(figure, group, curve, groups[group], "networks")
    known = sorted({n for curve in found.values() for n in curve})
    figure.update_xaxes(type="log", tickvals=known, ticktext=list(map(str, known)))
    return figure


def _curve(
    figure: go.Figure, name: str, curve: Mapping[int, Estimate], style: Style, what: str
) -> None:
    colour, dash, symbol = style
    x = list(curve)
    values, low, high = within(curve.values(), FLOOR)
    figure.add_scatter(
        x=[*x, *x[::-1]],
        y=[*high.tolist(), *low[::-1].tolist()],
        fill="toself",
        fillcolor=faint(colour),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        legendgroup=name,
        showlegend=False,
    )
    figure.add_scatter(
        x=x,
        y=values.tolist(),
        customdata=[[a, b] for a, b in zip(low.tolist(), high.tolist(), strict=True)],
        name=plotly_text(name),
        mode="lines+markers",
        marker={"size": 6, "symbol": symbol},
        line={"color": colour, "dash": dash, "width": 2.2},
        legendgroup=name,
        hovertemplate=f"{plotly_text(name)}: %{{y:.2f}} [%{{customdata[0]:.2f}}, "
        f"%{{customdata[1]:.2f}}], %{{x}} {what}<extra></extra>",
    )


def _framed(figure: go.Figure) -> go.Figure:
    figure.add_hline(y=0, line={"color": GREY, "width": 1})
    return figure


def _values(curve: Mapping[int, Estimate]) -> list[float]:
    return [float(each.value) for each in curve.values()]
