"""The order in which each unit's channels are kept, most important first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from amc_gym.compression.graph import ChannelGraph, Layer, Unit
from amc_gym.compression.ranking.importance import Consumer, Importance, UnitView, ranking
from amc_gym.compression.recovery.reconstruction import as_matrix
from amc_gym.compression.slim import oriented


def rank(
    model: nn.Module,
    graph: ChannelGraph,
    grams: Mapping[str, torch.Tensor],
    importance: str | Importance,
    saliency: Sequence[torch.Tensor] | None = None,
) -> tuple[np.ndarray, ...]:
    """Return the order of each unit's channels, most important first.

    If grouped convolutions divide a unit into blocks, the blocks take turns, each in its own order:
    any prefix of a multiple of ``unit.blocks`` channels keeps equally many of each block.

    Args:
        model: the original network.
        graph: its channel graph.
        grams: Gram matrices by layer name; may be empty for rankings that need none.
        importance: a name of ``IMPORTANCES`` or a function from a ``UnitView`` to a permutation.
        saliency: of each unit's channels, for rankings that need it.

    Raises:
        ValueError: a user's function fails, or does not return a permutation.
    """
    function = ranking(importance).function
    orders = []
    for index, unit in enumerate(graph.units):
        consumers = [
            _consumer(model, graph.layers[name], index, unit.channels, grams.get(name))
            for name in unit.consumers
        ]
        scales = [
            _scale(model, graph.layers[name], index)
            for name in unit.members
            if _has_scale(model, graph.layers[name], unit)
        ]
        view = UnitView(consumers, scales, None if saliency is None else saliency[index])
        order = _permutation(function, view, unit)
        orders.append(in_turns(order, unit))
    return tuple(orders)


def _permutation(function: Importance, view: UnitView, unit: Unit) -> np.ndarray:
    try:
        order = np.asarray(function(view))
    except Exception as error:
        raise ValueError(f"importance fails on unit {unit.name!r}: {error}") from error
    whole = order.dtype.kind in "iu" and order.ndim == 1
    if not whole or not np.array_equal(np.sort(order), np.arange(unit.channels)):
        raise ValueError(
            f"importance must return a permutation of {unit.channels} channels "
            f"for unit {unit.name!r}, most important first"
        )
    return order


def in_turns(order: np.ndarray, unit: Unit) -> np.ndarray:
    """Return an order of a unit's channels in which its blocks take turns."""
    block = order // (unit.channels // unit.blocks)
    each = [order[block == b] for b in range(unit.blocks)]
    return np.stack(each, axis=1).reshape(-1)


def _consumer(
    model: nn.Module, layer: Layer, unit: int, channels: int, gram: torch.Tensor | None
) -> Consumer:
    """Return one consumer of a unit, with its columns sorted by the unit's channel.

    A layer that reads only some of the channels has columns of zeros for the others.
    """
    assert layer.inputs is not None
    weight = oriented(model.get_submodule(layer.name))
    mine = np.flatnonzero(layer.inputs.unit == unit)
    mine = mine[np.argsort(layer.inputs.channel[mine], kind="stable")]
    read = np.unique(layer.inputs.channel[mine])
    size = len(mine) * layer.weights // len(read)
    columns = torch.from_numpy(
        (mine[:, None] * layer.weights + np.arange(layer.weights)).reshape(-1)
    )
    # A group's columns act on its own outputs only; the groups' rows follow each other.
    rows = as_matrix(weight, layer.groups).cpu().flatten(0, 1)[columns]
    products = None if gram is None or layer.groups > 1 else gram[0][columns][:, columns]
    if len(read) < channels:
        places = torch.from_numpy((read[:, None] * size + np.arange(size)).reshape(-1))
        rows = torch.zeros(channels * size, rows.shape[1]).to(rows).index_copy(0, places, rows)
        if products is not None:
            some = products.new_zeros(channels * size, len(products))
            some.index_copy_(0, places, products)
            products = some.new_zeros(channels * size, channels * size)
            products.index_copy_(1, places, some)
    return Consumer(rows, products, size)


def _scale(model: nn.Module, norm: Layer, unit: int) -> torch.Tensor:
    """Return |gamma| of a norm, summed over the positions of each of the unit's channels."""
    gamma = model.get_submodule(norm.name).weight
    assert isinstance(gamma, torch.Tensor)
    mine = torch.from_numpy(np.flatnonzero(norm.outputs.unit == unit))
    channel = torch.from_numpy(norm.outputs.channel)[mine]
    scale = torch.zeros(int(channel.max()) + 1, dtype=torch.float64)
    return scale.index_add_(0, channel, gamma.detach().abs().double().cpu()[mine])


def _has_scale(model: nn.Module, layer: Layer, unit: Unit) -> bool:
    """Return whether a layer is a norm with a scale for each channel of the unit."""
    if layer.kind != "norm" or model.get_submodule(layer.name).weight is None:
        return False
    return len(np.unique(layer.outputs.channel)) == unit.channels
