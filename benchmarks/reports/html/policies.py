"""Policies: channels that the best plans keep of each layer, as a plotly figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from benchmarks.reports.escaping import plotly_text
from benchmarks.reports.html.style import Style, new_figure
from benchmarks.reports.statistics import Row
from benchmarks.studies.records import Record


def policies(rows: Sequence[Row], style: dict[str, Style]) -> go.Figure:
    """Draw what best plans keep of each unit: bars for an agent's best seed, dots for the others.

    The first trace is the full network in the background; then there are two traces per row, of
    which those of the first row are shown.
    """
    full = rows[0].best.full
    names, channels = list(full.channels), np.array(list(full.channels.values()))
    x = list(range(1, len(names) + 1))
    figure = new_figure(x="unit of decision, in execution order", y="kept", height=360)
    figure.add_bar(
        x=x, y=[1] * len(x), marker={"color": "rgba(136,136,136,0.18)"}, hoverinfo="skip"
    )
    for i, row in enumerate(rows):
        best = row.best
        figure.add_bar(
            **_kept([best], names, channels),
            marker={"color": style[row.agent][0]},
            visible=i == 0,
        )
        others = [record for record in row.records if record is not best]
        figure.add_scatter(
            **_kept(others, names, channels),
            mode="markers",
            marker={
                "symbol": "circle",
                "color": "white",
                "size": 7,
                "line": {"color": "#444444", "width": 1.5},
            },
            visible=i == 0,
        )
    figure.update_layout(barmode="overlay", bargap=0.2, showlegend=False)
    figure.update_yaxes(range=(0, 1), tickformat=".0%", dtick=0.25)
    figure.update_xaxes(dtick=max(1, len(x) // 20), range=(0.4, len(x) + 0.6), showgrid=False)
    return figure


def _kept(records: Sequence[Record], names: list[str], channels: np.ndarray) -> dict[str, Any]:
    """Return x, y and hover texts of the kept shares of each unit, run after run."""
    x, y, hover = [], [], []
    for record in records:
        for t, (name, total) in enumerate(zip(names, channels.tolist(), strict=True), start=1):
            kept = record.best.kept[name]
            x.append(t)
            y.append(kept / total)
            hover.append([plotly_text(name), kept, total, record.run.seed])
    template = "%{customdata[0]}: %{customdata[1]} of %{customdata[2]} (seed %{customdata[3]})"
    return {"x": x, "y": y, "customdata": hover, "hovertemplate": template + "<extra></extra>"}
