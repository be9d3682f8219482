"""Cost of weight-pruned networks, which is linear in each layer's number of non-zero weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from amc_gym.compression.graph import ChannelGraph


class SparseCost:
    """Cost of a network in which unit u keeps ``counts[u]`` weights.

    Args:
        graph: graph whose units are layers, see ``fine_grained.weight_graph``.
        each: cost of each non-zero weight, by layer.
        fixed: further cost of each layer.
        constant: cost outside of layers.
    """

    def __init__(
        self,
        graph: ChannelGraph,
        each: Mapping[str, int],
        fixed: Mapping[str, int],
        constant: int,
    ) -> None:
        self.names = tuple(graph.layers)
        index = {unit.name: number for number, unit in enumerate(graph.units)}
        self._unit = np.array([index.get(name, 0) for name in self.names])
        self._each = np.array([each.get(name, 0) for name in self.names])
        self._fixed = np.array([fixed.get(name, 0) for name in self.names])
        self._constant = constant
        self.full = self.total(graph.full)

    def per_layer(self, counts: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return each layer's cost, (..., units) -> (..., layers) int64, in execution order."""
        return self._each * np.asarray(counts, dtype=np.int64)[..., self._unit] + self._fixed

    def total(self, counts: Sequence[int]) -> int:
        """Return the cost of the whole network."""
        return int(self.per_layer(counts).sum()) + self._constant

    def totals(self, plans: np.ndarray) -> np.ndarray:
        """Return the costs of several plans: (n, units) -> (n,) int64."""
        return self.per_layer(plans).sum(1) + self._constant
