"""Style that the page's plots share: colours of agents, and an empty figure.

Colours of paper, ink and grid are left to the page, which has a light and a dark face.
"""

from __future__ import annotations

from collections.abc import Iterable

import plotly.graph_objects as go

from benchmarks.reports.figures import COLOURS

DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "diamond", "square", "cross")
"""One per round of colours, so that agents differ without colour too."""

GREY = "#888888"  # legible on light and on dark paper

Style = tuple[str, str, str]
"""Colour, dash and symbol of an agent."""


def styles(agents: Iterable[str]) -> dict[str, Style]:
    """Agent -> style, by the alphabet, as in the PNG pictures."""
    return {
        agent: (COLOURS[i % len(COLOURS)], DASHES[round_], SYMBOLS[round_])
        for i, agent in enumerate(sorted(set(agents)))
        for round_ in [i // len(COLOURS) % len(DASHES)]
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
