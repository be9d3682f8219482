"""Facts about the units of a network within a budget, unscaled.

They cost no evaluation: counts, costs, and errors estimated from the calibration images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from amc_gym.compression.graph import Layer
from amc_gym.envs.allocation import Allocation

SHARES = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
"""Shares of a unit's channels at which its errors are given."""


class Facts:
    """Figures of T units; each attribute is (T,) float64 unless another shape is given.

    Args:
        allocation: plans that need no evaluation, with the problem's network and budget.
        who: what asks for the facts, for the message.

    Attributes:
        channels: of the unit.
        first: the first layer that reads each unit.
        readers: number of layers that read the unit.
        makers: number of layers that produce it.
        depthwise: whether a depthwise convolution filters it.
        joined: whether its first reader also reads other units.
        blocks: parts that must keep equally many channels.
        least: smallest share of its channels that may be kept.
        cost: share of the network's cost in the layers that touch it.
        savable: share of the network's cost that pruning this unit alone can save at most.
        after: share of the network's cost in the layers after its first reader.
        uniform: share of its channels that the uniform plan within the budget keeps.
        least_error: share that the plan of least error keeps; 1 without a budget.
        between: share of the plan of least error, weighted by the root of the loss's sensitivity.
        least_loss: share of the plan of least error, weighted by the loss's sensitivity.
        errors: (T, shares) relative error (root of the relative squared error) of its readers'
            outputs at ``SHARES``.
        sensitivity: increase of the loss, in nats and to second order, for a relative squared error
            of 1 in its readers' outputs.
        loss: increase of the loss by the uniform plan's errors in its readers' outputs, likewise.
        edges: (T, T) whether a layer reads one unit (row) and produces the other (column).

    Raises:
        ValueError: the granularity is "weight", for which there are no such errors.
    """

    def __init__(self, allocation: Allocation, who: str) -> None:
        allocation.demand_errors(who)
        self._allocation, self._graph = allocation, allocation.engine.graph
        self._units, self._layers = self._graph.units, self._graph.layers
        self.channels = np.array(self._graph.full, dtype=float)
        self._set_shapes()
        self._set_costs()
        self._set_plans()
        self._set_errors()

    def _set_shapes(self) -> None:
        units, layers = self._units, self._layers
        self.first = [layers[unit.consumers[0]] for unit in units]
        self.readers = np.array([len(unit.consumers) for unit in units], dtype=float)
        made = [_makers(layers.values(), u) for u in range(len(units))]
        self.makers = np.array([len(each) for each in made], dtype=float)
        self.depthwise = self._each(
            lambda u: any(layers[name].kind == "depthwise" for name in units[u].members)
        )
        self.joined = self._each(lambda u: len(_inputs(self.first[u])) > 1)
        self.blocks = np.array([unit.blocks for unit in units], dtype=float)
        self.edges = np.zeros((len(units), len(units)))
        for column, makers in enumerate(made):
            for layer in makers:
                self.edges[list(_inputs(layer)), column] = 1

    def _set_costs(self) -> None:
        cost, units = self._allocation.cost, self._units
        per_layer = cost.per_layer(self._graph.full) / cost.full
        place = {name: index for index, name in enumerate(cost.names)}
        self.cost = self._each(
            lambda u: per_layer[[place[name] for name in units[u].members]].sum()
        )
        self.after = self._each(lambda u: per_layer[place[self.first[u].name] + 1 :].sum())
        least = [counts[0] for counts in self._allocation.budget.admissible]
        alone = np.repeat(np.array([self._graph.full]), len(units), axis=0)
        np.fill_diagonal(alone, least)
        self.savable = 1 - cost.totals(alone) / cost.full
        self.least = np.array(least) / self.channels

    def _set_plans(self) -> None:
        allocation, budget = self._allocation, self._allocation.budget
        self.uniform = np.array(allocation.uniform) / self.channels
        self.least_error, self.between, self.least_loss = (
            np.array(budget.channels if budget.limit is None else allocation.least(curvature))
            / self.channels
            for curvature in (0.0, 0.5, 1.0)
        )

    def _set_errors(self) -> None:
        relative, weighted = self._allocation.engine.errors(0.0, 1.0)
        self.errors = np.sqrt([_at(error, SHARES) / max(error[0], 1.0) for error in relative])
        self.sensitivity = np.array([error[0] for error in weighted])
        kept = zip(weighted, self._allocation.uniform, strict=True)
        self.loss = np.array([error[count] for error, count in kept])

    def _each(self, figure: Callable[[int], float]) -> np.ndarray:
        return np.array([figure(u) for u in range(len(self._units))], dtype=float)


def _inputs(layer: Layer) -> tuple[int, ...]:
    return () if layer.inputs is None else layer.inputs.units


def _makers(layers: Iterable[Layer], unit: int) -> list[Layer]:
    """Return the layers that mix channels and whose outputs belong to a unit."""
    return [layer for layer in layers if layer.inputs is not None and unit in layer.outputs.units]


def _at(error: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Return the errors at shares of the channels, interpolated linearly between counts."""
    channels = len(error) - 1
    return np.interp(np.array(shares) * channels, np.arange(channels + 1), error)
