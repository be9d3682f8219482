"""Style that the page's plots share: colours of agents, and an empty figure.

Colours of background, text and grid are left to the page, which has a light and a dark mode.
"""

from __future__ import annotations

from collections.abc import Iterable

import plotly.graph_objects as go

from benchmarks.reports.looks import ranks_of

DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "diamond", "square", "cross")
"""Symbols, in the order in which agents of one colour get them."""

GREY = "#888888"  # legible on light and on dark background

Style = tuple[str, str, str]
"""Colour, dash and symbol of an agent."""


def styles(agents: Iterable[str]) -> dict[str, Style]:
    """Return agent -> style, as in the PNG pictures."""
    return {
        agent: (colour, DASHES[rank], SYMBOLS[rank])
        for agent, (colour, rank) in ranks_of(agents).items()
    }


def new_figure(x: str, y: str, height: int = 400) -> go.Figure:
    """Return an empty figure as wide as its place in the page.

    Args:
        x: title of its x axis.
        y: title of its y axis.
        height: in pixels.
    """
    figure = go.Figure()
    axis = {"zeroline": False, "automargin": True, "title": {"standoff": 10}}
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 56, "r": 8, "t": 12, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        hovermode="closest",
        hoverlabel={"align": "left"},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
        xaxis=axis,
        yaxis=axis,
    )
    figure.update_xaxes(title_text=x, showgrid=False)
    figure.update_yaxes(title_text=y)
    return figure


def faint(colour: str) -> str:
    """Return the colour of a band behind a line of ``colour``."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.13)"
