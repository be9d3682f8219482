"""What the tracer says of a network."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.graph import ChannelGraph, GraphError
from amc_gym.compression.tracing import trace

MAX_SPARSITY = 0.8
"""Most of a unit's channels that may go, as in the environments."""

OUTPUT = "the network's output"


def ours(model: nn.Module, example: torch.Tensor) -> dict[str, Any]:
    """Trace and verify a network.

    Returns:
        units, fixed (layers), seconds, smallest (feasible share of the MACs), verdict ("pruned",
        "refused") and why.
    """
    began = time.process_time()
    try:
        graph = trace(model, example)
    except GraphError as error:
        return _row(began, verdict="refused", why=str(error))
    fixed = {name: why for name, why in graph.fixed.items() if why != OUTPUT}
    smallest = smallest_share(graph)
    verdict = "pruned" if smallest <= 0.6 else "partly"
    return _row(
        began,
        units=len(graph.units),
        fixed=len(fixed),
        smallest=round(smallest, 3),
        verdict=verdict,
        why=" | ".join(dict.fromkeys(fixed.values())),
    )


def _row(began: float, **found: Any) -> dict[str, Any]:
    return {"seconds": round(time.process_time() - began, 1), **found}


def smallest_share(graph: ChannelGraph) -> float:
    """Share of the MACs that is left where every unit keeps as few channels as it may."""
    cost = RESOURCES["macs"].of_channels(graph)
    least = []
    for unit in graph.units:
        wanted = -(-unit.channels * (1 - MAX_SPARSITY) // 1)
        least.append(int(-(-wanted // unit.blocks) * unit.blocks))
    return cost.total(least) / cost.full
