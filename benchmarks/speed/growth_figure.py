"""Picture of ``growth``: an episode's time and its parts.

There is one panel for each quantity that varies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.reports.figures import FAINT, INCHES, STYLE, save_picture
from benchmarks.reports.looks import COLOURS

PARTS = {
    "forward": "forward pass",
    "build": "building the network",
    "steps": "steps and bookkeeping",
    "new_shapes": "kernels for new shapes",
}
"""Attribute of a point -> its label, from the bottom of a bar to its top."""


class Measured(Protocol):
    """Figures of a point that are drawn."""

    @property
    def axis(self) -> str:
        """Name of the quantity that varies."""
        ...

    @property
    def x(self) -> float:
        """Its value."""
        ...

    @property
    def episode(self) -> float:
        """Milliseconds of an episode."""
        ...


def draw(
    points: Sequence[Measured], axes: Mapping[str, tuple[str, Sequence[float]]], path: Path
) -> None:
    """Draw stacked bars of milliseconds; parts that noise made negative are drawn as zero.

    Args:
        points: all measured points; see ``growth.Point``.
        axes: quantity that varies -> the subject's name, and its values.
        path: the PNG to write.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(INCHES, 6.6), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(2, -(-len(axes) // 2), squeeze=False)
        for (axis, (subject, _)), panel in zip(axes.items(), panels.flat, strict=False):
            mine = [point for point in points if point.axis == axis]
            bars, bottom = np.arange(len(mine)), np.zeros(len(mine))
            for (part, title), colour in zip(PARTS.items(), COLOURS, strict=False):
                heights = np.array([max(0.0, getattr(point, part)) for point in mine])
                panel.bar(bars, heights, 0.7, bottom, color=colour, label=title)
                bottom += heights
            panel.set_xticks(bars, [f"{point.x:g}" for point in mine])
            panel.set_xlabel(axis)
            panel.set_title(subject, loc="left")
            panel.set_ylabel("ms per episode")
            panel.grid(axis="y", color=FAINT)
            panel.set_axisbelow(True)
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(PARTS))
        save_picture(figure, path)
