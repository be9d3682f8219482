"""The eleven features of a unit (paper, equation 1), each in [0, 1].

| index | feature   | meaning                                                        |
|-------|-----------|----------------------------------------------------------------|
| 0     | t         | position of the unit, t / T; 1 once all units are decided      |
| 1     | n         | output channels of the unit's first consumer                   |
| 2     | c         | channels of the unit; in weight pruning inputs of the layer    |
| 3, 4  | h, w      | height and width of the consumer's input                       |
| 5     | stride    | of the consumer                                                |
| 6     | k         | kernel size of the consumer                                    |
| 7     | FLOPs[t]  | cost of all layers that touch the unit, in the resource        |
| 8     | reduced   | share of the full cost that the decisions so far saved         |
| 9     | rest      | share of the full cost held by the layers after the consumer   |
| 10    | a_{t-1}   | sparsity that was executed for the previous unit               |

Features 1-7 are scaled from their range over the units to [0, 1]; a constant feature is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces

from amc_gym.envs.allocation import Allocation
from amc_gym.envs.observations.observation import Observation

SIZE = 11
_T, _FLOPS, _REDUCED, _REST, _LAST_ACTION = 0, 7, 8, 9, 10


class Paper(Observation):
    """The paper's eleven features; all but ``reduced`` and ``a_{t-1}`` are precomputed."""

    name = "paper"
    summary = "(11,), the paper's equation 1, scaled over the units of one network"

    def __init__(self, allocation: Allocation) -> None:
        graph, cost = allocation.engine.graph, allocation.cost
        self._cost = cost
        self._full = graph.full
        per_layer = cost.per_layer(graph.full)
        position = {name: index for index, name in enumerate(cost.names)}
        n_units = len(graph.units)
        # One row per unit and a last one for the terminal observation.
        self._table = np.zeros((n_units + 1, SIZE))
        self._table[:, _T] = np.arange(n_units + 1) / n_units
        static = self._table[:n_units, 1 : _FLOPS + 1]
        for row, unit in zip(static, graph.units, strict=True):
            first = graph.layers[unit.consumers[0]]
            touching = per_layer[[position[name] for name in unit.members]].sum()
            row[:] = (
                len(first.outputs),
                unit.channels if unit.inputs is None else unit.inputs,
                first.height,
                first.width,
                first.stride,
                first.kernel,
                touching,
            )
        low, high = static.min(0), static.max(0)
        static -= low
        static /= np.where(high > low, high - low, 1)
        for row, unit in zip(self._table[:n_units], graph.units, strict=True):
            after = position[unit.consumers[0]] + 1
            row[_REST] = per_layer[after:].sum() / cost.full

    @classmethod
    def space(cls) -> spaces.Box:
        """Return `Box(0, 1, (11,), float32)`."""
        return spaces.Box(0.0, 1.0, (SIZE,), np.float32)

    def observe(self, executed: Sequence[int]) -> np.ndarray:
        """Return the observation after ``executed`` counts are decided, (11,) float32."""
        t = len(executed)
        row = self._table[t].copy()
        if t:
            row[_REDUCED] = 1 - self._cost.total([*executed, *self._full[t:]]) / self._cost.full
            row[_LAST_ACTION] = 1 - executed[-1] / self._full[t - 1]
        return row.astype(np.float32)

    def observe_all(self, executed: np.ndarray) -> np.ndarray:
        """Return the observations of n episodes at one unit, counts (n, t) -> (n, 11) float32."""
        n, t = executed.shape
        rows = np.empty((n, SIZE))
        rows[:] = self._table[t]
        if t:
            plans = np.empty((n, len(self._full)), dtype=np.int64)
            plans[:, :t], plans[:, t:] = executed, self._full[t:]
            rows[:, _REDUCED] = 1 - self._cost.totals(plans) / self._cost.full
            rows[:, _LAST_ACTION] = 1 - executed[:, -1] / self._full[t - 1]
        return rows.astype(np.float32)
