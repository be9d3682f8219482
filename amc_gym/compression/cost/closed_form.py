"""Costs in closed form, as integers.

A convolution with o outputs, i inputs, k x k kernel, g groups and s output positions costs
s k^2 o i / g multiply-accumulates (MACs) and has k^2 o i / g weights.  Only o and i depend on the
plan, and each is a sum of the units' channel counts, so a whole network's cost is one small integer
expression.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import lcm

import numpy as np

from amc_gym.compression.graph import FIXED, Axis, ChannelGraph, Unit


@dataclass(frozen=True)
class Term:
    """A cost of outputs * (pair * inputs / groups + single).

    Attributes:
        outputs: positions of one dimension.
        inputs: positions of the other; ``None``: one.
        pair: cost of each pair of positions.
        single: additional cost of each output.
        groups: number of groups that divide the inputs.
    """

    outputs: Axis
    inputs: Axis | None
    pair: int
    single: int = 0
    groups: int = 1


class ClosedForm:
    """Cost of a network as a sum of terms, for any channel counts of its units.

    Args:
        graph: the traced network.
        layers: a term for each of its layers, in order.
        others: terms outside of layers.
        constant: cost that no decision changes.
    """

    def __init__(
        self,
        graph: ChannelGraph,
        layers: Iterable[Term],
        others: Iterable[Term] = (),
        constant: int = 0,
    ) -> None:
        self.names = tuple(graph.layers)
        terms = [*layers, *others]
        self._constant = constant
        # Layers without cost, such as norms in MACs, are left out of the sums.
        self._paid = np.flatnonzero([term.pair or term.single for term in terms])
        self._layers = int(np.count_nonzero(self._paid < len(self.names)))  # the others come last
        terms = [terms[index] for index in self._paid]
        # Floats, because their matrix products are many times faster.  Whole numbers below 2^53
        # (9e15; VGG-16 costs 1.5e10 MACs) are exact in them, and so are their products and sums.
        self._pairs = np.array([term.pair for term in terms], dtype=np.float64)
        self._singles = np.array([term.single for term in terms], dtype=np.float64)
        axes = [term.outputs for term in terms] + [term.inputs for term in terms]
        fixed, matrix, parts = kept_positions(axes, graph.units)
        self._fixed = fixed.astype(np.float64)
        self._axes = matrix.T.astype(np.float64, order="C")
        # The positions of an axis are divided by its parts, and a group's inputs by the groups.
        divisors = parts.astype(np.float64)
        divisors[len(terms) :] *= [term.groups for term in terms]
        self._divisors = divisors if (divisors > 1).any() else None  # the slowest part
        self.full = self.total(graph.full)
        """Cost of the uncompressed network."""
        assert self.full < 2**53, "the cost is too large to be computed in floats"

    def per_layer(self, counts: Sequence[int]) -> np.ndarray:
        """Return the cost of each layer, (layers,) int64, in execution order."""
        costs = np.zeros(len(self.names), dtype=np.int64)
        outputs, each = self._factors(counts)
        costs[self._paid[: self._layers]] = (outputs * each)[: self._layers]
        return costs

    def total(self, counts: Sequence[int]) -> int:
        """Return the cost of the whole network whose unit u keeps ``counts[u]`` channels."""
        outputs, each = self._factors(counts)
        return int(outputs @ each) + self._constant

    def totals(self, plans: np.ndarray) -> np.ndarray:
        """Return the costs of several networks: counts (n, units) -> (n,) int64."""
        outputs, each = self._factors(plans)
        return np.einsum("nl,nl->n", outputs, each).astype(np.int64) + self._constant

    def _factors(self, counts: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the outputs of each term and the cost of one output, (..., terms) each."""
        axes = np.asarray(counts, dtype=np.float64) @ self._axes + self._fixed
        if self._divisors is not None:
            axes = axes / self._divisors  # whole numbers again: counts are multiples of blocks
        terms = len(self._pairs)
        return axes[..., :terms], axes[..., terms:] * self._pairs + self._singles


def kept_positions(
    axes: Sequence[Axis | None], units: Sequence[Unit]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the kept positions of each axis as (fixed + matrix @ counts) / parts.

    Each channel of a unit's block has the same number of positions on an axis: none, one, or the
    pixels of a flattened map.  A layer without an input axis counts as having one input.
    """
    fixed = np.ones(len(axes), dtype=np.int64)
    matrix = np.zeros((len(axes), len(units)), dtype=np.int64)
    parts = np.ones(len(axes), dtype=np.int64)
    for row, axis in enumerate(axes):
        if axis is None:
            continue
        # Unit -> positions per channel of a block, for all blocks together.
        held = {
            u: np.count_nonzero(axis.unit == u) * units[u].blocks // units[u].channels
            for u in axis.units
        }
        parts[row] = lcm(*(units[u].blocks for u, each in held.items() if each % units[u].blocks))
        fixed[row] = np.count_nonzero(axis.unit == FIXED) * parts[row]
        for u, each in held.items():
            matrix[row, u] = each * parts[row] // units[u].blocks
    return fixed, matrix, parts
