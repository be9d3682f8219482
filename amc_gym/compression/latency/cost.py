"""A latency table as the resource of an environment: nanoseconds of a plan.

All values are integers: a layer's time is the bilinear interpolation of its grid, rounded down, and
a network's time is the sum of its layers and the overhead.  Rounding down keeps times
non-decreasing, so that the budget is exact, and equal plans have equal latencies on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from amc_gym.compression.graph import FIXED, Axis, ChannelGraph
from amc_gym.compression.latency.blocks import rounded_up
from amc_gym.compression.latency.layers import Geometry, widths
from amc_gym.compression.latency.table import Grid, LatencyTable


class LatencyCost:
    """Latency of a network for any channel counts of its units, by a table.

    Args:
        graph: the traced network.
        layers: geometry of each convolution and linear layer, by name.
        table: times of the geometries.

    Raises:
        LatencyError: the table is of another network.
    """

    resource = "latency"

    def __init__(
        self, graph: ChannelGraph, layers: Mapping[str, Geometry], table: LatencyTable
    ) -> None:
        self.table = table
        self.names = tuple(graph.layers)
        timed = [graph.layers[name] for name in layers]
        table.check(layers, {layer.name: widths(layer) for layer in timed})
        self._timed = np.array([self.names.index(name) for name in layers])
        n = len(graph.units)
        grids = [table.grids[geometry.key] for geometry in layers.values()]
        pairs = list(zip(timed, grids, strict=True))
        self._in = _Sides(
            [_Side(layer.inputs, grid.inputs, n) for layer, grid in pairs], table.block
        )
        self._out = _Sides(
            [_Side(layer.outputs, grid.outputs, n) for layer, grid in pairs], table.block
        )
        self._ns = _stacked(grids)
        self._rows = np.arange(len(grids))
        self.full = self.total(graph.full)
        """Nanoseconds of the uncompressed network."""

    def per_layer(self, counts: Sequence[int]) -> np.ndarray:
        """Return each layer's nanoseconds, (layers,) int64, in execution order; 0 for norms."""
        costs = np.zeros(len(self.names), dtype=np.int64)
        costs[self._timed] = self._times(np.asarray(counts))
        return costs

    def total(self, counts: Sequence[int]) -> int:
        """Return the nanoseconds of the whole network whose unit u keeps ``counts[u]`` channels."""
        return int(self._times(np.asarray(counts)).sum()) + self.table.overhead

    def totals(self, plans: np.ndarray) -> np.ndarray:
        """Return the nanoseconds of several networks: counts (n, units) -> (n,) int64."""
        return self._times(np.asarray(plans)).sum(-1) + self.table.overhead

    def _times(self, counts: np.ndarray) -> np.ndarray:
        """Return nanoseconds (..., timed layers) for counts (..., units)."""
        i, x, dx = self._in.at(counts)
        j, y, dy = self._out.at(counts)
        ns, rows = self._ns, self._rows
        below = ns[rows, i, j] * (dy - y) + ns[rows, i, j + 1] * y
        above = ns[rows, i + 1, j] * (dy - y) + ns[rows, i + 1, j + 1] * y
        return (below * (dx - x) + above * x) // (dx * dy)


class _Side:
    """One axis of one layer: ``weights @ counts + fixed`` channels, and the points of its grid.

    An axis without prunable channels, and the input axis of a depthwise convolution, always stay at
    the single point that they have.
    """

    def __init__(self, axis: Axis | None, points: Sequence[int], units: int) -> None:
        self.points = np.array(points, dtype=np.int64)
        self.weights = np.zeros(units, dtype=np.int64)
        self.fixed = int(points[0])
        if axis is not None and len(points) > 1:
            self.fixed = int(np.count_nonzero(axis.unit == FIXED))
            for unit in axis.units:
                mine = axis.unit == unit
                self.weights[unit] = np.count_nonzero(mine) // len(np.unique(axis.channel[mine]))


class _Sides:
    """One axis of all layers, with channels computed in blocks."""

    def __init__(self, sides: Sequence[_Side], block: int) -> None:
        self._block = block
        self._weights = np.stack([side.weights for side in sides]).T  # (units, layers)
        self._fixed = np.array([side.fixed for side in sides])
        widest = max(len(side.points) for side in sides)
        # Points beyond a grid's end repeat its last one, where no channel count lies.
        self._points = np.stack(
            [np.pad(side.points, (0, widest - len(side.points)), mode="edge") for side in sides]
        )
        self._last = np.array([max(len(side.points) - 2, 0) for side in sides])
        self._rows = np.arange(len(sides))

    def at(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return grid cell, position in it (may be negative) and its size, (..., layers) each."""
        channels = rounded_up(counts @ self._weights + self._fixed, self._block)
        cell = (channels[..., None] >= self._points).sum(-1) - 1
        cell = np.clip(cell, 0, self._last)
        start = self._points[self._rows, cell]
        end = self._points[self._rows, np.minimum(cell + 1, self._points.shape[1] - 1)]
        size = end - start
        # A grid of one point has no size: every position is its beginning.  A block that reaches
        # beyond a layer's last channel costs as much as that channel.
        return cell, np.where(size > 0, np.clip(channels - start, 0, size), 0), np.maximum(size, 1)


def _stacked(grids: Sequence[Grid]) -> np.ndarray:
    """Return all grids in nanoseconds, edge-padded: (layers, inputs + 1, outputs + 1)."""
    rows = max(len(grid.inputs) for grid in grids) + 1
    columns = max(len(grid.outputs) for grid in grids) + 1
    padded = [
        np.pad(
            np.array(grid.ns, dtype=np.int64),
            ((0, rows - len(grid.inputs)), (0, columns - len(grid.outputs))),
            mode="edge",
        )
        for grid in grids
    ]
    return np.stack(padded)
