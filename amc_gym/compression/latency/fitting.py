"""Correction of single layers' times for layers that run in sequence, fitted to measured networks.

The time of a network outside of its layers (additions, pooling, the call itself) is an overhead,
and all layers have one scale:

    network = scale * sum of (layer - empty call - call) + overhead

An empty call does next to nothing; it is the time that a single layer takes because it is a network
of its own.  Where that is too little, as in small networks whose layers pass on what is still in
the cache, `call` is subtracted from each layer as well; there is then no overhead, which it would
cancel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.latency.layers import Geometry
from amc_gym.compression.latency.table import Device, Grid, LatencyTable


def fitted(
    device: Device,
    graph: ChannelGraph,
    layers: Mapping[str, Geometry],
    grids: Mapping[str, Grid],
    plans: Sequence[tuple[int, ...]],
    networks: np.ndarray,
    block: int = 1,
) -> LatencyTable:
    """Return the table whose networks have the smallest relative errors to the measured ones.

    Args:
        device: device that was measured.
        graph: of the network.
        layers: its layers' geometries, by name.
        grids: geometry's key -> times of the single layer.
        plans: channel counts of networks, (networks, units).
        networks: nanoseconds of each, (networks,).
        block: channels that the device computes at once.
    """
    from scipy.optimize import fminbound, nnls  # slow to import

    def less(call: float, scale: float = 1.0, overhead: float = 0.0) -> LatencyTable:
        """Return the table with ``call`` subtracted from each layer, and then scaled."""
        times = {
            key: Grid.of(
                grid.inputs, grid.outputs, scale * np.maximum(np.array(grid.ns) - call, 1.0)
            )
            for key, grid in grids.items()
        }
        return LatencyTable(device, times, round(overhead), block=block)

    def shares(call: float) -> np.ndarray:
        """Return the sums of layers as shares of the measured times, (networks,)."""
        sums = LatencyCost(graph, layers, less(call)).totals(np.array(plans))
        return sums / networks

    def fit(call: float) -> tuple[float, float]:
        """Return the best scale without overhead, and its misfit."""
        (scale,), misfit = nnls(shares(call)[:, None], np.ones(len(plans)))
        return scale, misfit

    typical = networks.mean()  # otherwise the second column would vanish in rounding
    columns = np.stack([shares(0.0), typical / networks], axis=1)
    (scale, overhead), _ = nnls(columns, np.ones(len(plans)))
    if overhead > 0:
        return less(0.0, scale, overhead * typical)
    most = float(np.median([grid.ns[-1][-1] for grid in grids.values()]))
    call = np.asarray(fminbound(lambda call: fit(call)[1], 0.0, most)).item()
    return less(call, fit(call)[0])
