"""Names of lines, written at their ends and moved apart where ends coincide."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from scipy.optimize import isotonic_regression

from benchmarks.reports.escaping import picture_text

APART = 11
"""Smallest distance between two names, in points."""


def name_ends(
    axes: Axes, ends: Mapping[str, tuple[float, float]], colours: Mapping[str, str], inches: float
) -> None:
    """Write each line's name at its end.

    Args:
        axes: with their final limits.
        ends: position of each line's last point.
        colours: of the names.
        inches: height of the axes.
    """
    low, high = axes.get_ylim()
    points = 72 * inches / (high - low)
    places: dict[float, list[tuple[float, str]]] = {}
    for name, (x, y) in ends.items():
        places.setdefault(x, []).append((y, name))
    for end, names in places.items():
        names.sort()
        values = np.array([value for value, _ in names])
        for (value, name), up in zip(names, apart(points * values) - points * values, strict=True):
            text = axes.annotate(
                picture_text(name),
                (end, value),
                xytext=(7, up),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color=colours[name],
                annotation_clip=False,
            )
            text.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="white")])


def apart(places: np.ndarray) -> np.ndarray:
    """Return ascending positions, moved as little as possible to be ``APART`` from each other."""
    steps = APART * np.arange(len(places))
    return isotonic_regression(places - steps).x + steps
