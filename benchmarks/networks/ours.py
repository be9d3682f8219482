"""The tracer's result for a network."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import nn

from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.graph import ChannelGraph, GraphError, Unit
from amc_gym.compression.tracing import trace
from amc_gym.compression.tracing.verification import verify
from benchmarks.networks.trials import stop_the_clock

BUDGET = 0.6
"""Share of the MACs at which each network is built."""

MAX_SPARSITY = 0.8
"""Largest share of a unit's channels that may be pruned, as in the environments."""

OUTPUT = "the network's output"


def ours(model: nn.Module, example: torch.Tensor) -> dict[str, Any]:
    """Trace and verify a network, and verify it again at ``BUDGET``.

    Returns:
        units, fixed (layers), seconds (until the network is traced and verified), smallest
        (feasible share of the MACs), built (share of the MACs of the slim network at ``BUDGET``
        that was compared with the masked one), verdict ("pruned", "partly", "refused") and why.

    Raises:
        GraphError: slim and masked network differ at ``BUDGET``.
    """
    began = time.process_time()
    try:
        graph = trace(model, example)
    except GraphError as error:
        return _row(began, verdict="refused", why=str(error))
    row = _row(began, units=len(graph.units))
    stop_the_clock()
    smallest = share(graph, 1 - MAX_SPARSITY)
    fixed = {name: why for name, why in graph.fixed.items() if why != OUTPUT}
    row |= {"fixed": len(fixed), "smallest": round(smallest, 3), "verdict": "partly"}
    if smallest <= BUDGET:
        kept = largest(graph, BUDGET)
        verify(model, graph, example, [kept] * len(graph.units))
        row |= {"built": round(share(graph, kept), 4), "verdict": "pruned"}
    return row | {"why": " | ".join(dict.fromkeys(fixed.values()))}


def _row(began: float, **found: Any) -> dict[str, Any]:
    return {"seconds": round(time.process_time() - began, 1), **found}


def _count(unit: Unit, kept: float) -> int:
    """Return the number of kept channels, equally many of each block, rounded as in ``verify``."""
    return int(np.ceil(kept * (unit.channels // unit.blocks))) * unit.blocks


def share(graph: ChannelGraph, kept: float) -> float:
    """Return the share of the MACs when each unit keeps at least this share of its channels."""
    cost = RESOURCES["macs"].of_channels(graph)
    return cost.total([_count(unit, kept) for unit in graph.units]) / cost.full


def largest(graph: ChannelGraph, budget: float) -> float:
    """Return the largest common share of channels whose MACs are within a feasible budget."""
    shares = np.linspace(1 - MAX_SPARSITY, 1, 801)
    return float(max(kept for kept in shares if share(graph, kept) <= budget))
