"""Kept channels and recovered weights for any channel counts, remembered as they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from amc_gym.compression.graph import FIXED, Axis, ChannelGraph, Layer
from amc_gym.compression.reconstruction import (
    NestedLeastSquares,
    as_matrix,
    as_weight,
    least_squares,
    unfolded_columns,
)
from amc_gym.compression.slim import Kept, with_inputs

MEMORY = 64 * 2**20
"""Bytes of re-fitted weights that a pruner remembers; the least recently used go first."""


class Pruner:
    """The tensors of the slim network of ``model`` when unit u keeps its best ``counts[u]``.

    Nothing here depends on the agent: orders, factors and index maps are made once, each layer's
    tensors once per combination of counts that they depend on.

    Args:
        model: the network to be slimmed, in eval mode; its norms may have been folded.
        graph: its channel graph.
        orders: ranking of each unit's channels, most important first.
        grams: Gram matrices of the layers to re-fit; empty for no reconstruction.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: ChannelGraph,
        orders: Sequence[np.ndarray],
        grams: Mapping[str, torch.Tensor],
    ) -> None:
        self.graph = graph
        self.orders = tuple(orders)
        fitted = _Remembered()
        self._layers = {
            name: _SlimLayer(model, layer, self.orders, grams.get(name), fitted)
            for name, layer in graph.layers.items()
        }

    def kept(self, counts: Sequence[int]) -> Kept:
        """Kept channels of each unit, ascending."""
        return tuple(
            np.sort(order[:count]) for order, count in zip(self.orders, counts, strict=True)
        )

    def tensors(self, counts: Sequence[int], name: str) -> dict[str, torch.Tensor]:
        """Weight, bias and running statistics of one slim layer, by name."""
        return self._layers[name].tensors(counts)


class _Remembered:
    """Re-fitted weights, the most recently used that fit into ``MEMORY`` bytes."""

    def __init__(self) -> None:
        self._weights: OrderedDict[tuple[str, tuple[int, ...]], torch.Tensor] = OrderedDict()
        self.bytes = 0

    def get(
        self, key: tuple[str, tuple[int, ...]], make: Callable[[], torch.Tensor]
    ) -> torch.Tensor:
        weight = self._weights.get(key)
        if weight is not None:
            self._weights.move_to_end(key)
            return weight
        weight = self._weights[key] = make()
        self.bytes += weight.nbytes
        while self.bytes > MEMORY and len(self._weights) > 1:
            self.bytes -= self._weights.popitem(last=False)[1].nbytes
        return weight


class _SlimLayer:
    """One layer's tensors for any counts of the units that it depends on."""

    def __init__(
        self,
        model: nn.Module,
        layer: Layer,
        orders: Sequence[np.ndarray],
        gram: torch.Tensor | None,
        fitted: _Remembered,
    ) -> None:
        module = model.get_submodule(layer.name)
        self._layer, self._orders, self._gram = layer, orders, gram
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        self._weight = weight.detach()
        # The batch counter of norms has no channels and stays as it is.
        self._vectors = {
            name: tensor.detach()
            for name, tensor in (*module.named_parameters(), *module.named_buffers())
            if name != "weight" and tensor.dim() > 0
        }
        self._fitted = fitted
        self._positions: dict[tuple[bool, tuple[int, ...]], torch.Tensor] = {}
        self._nested: NestedLeastSquares | None = None
        inputs = layer.inputs
        if gram is not None and inputs is not None:
            alone = len(inputs.units) == 1 and not (inputs.unit == FIXED).any()
            if alone:
                order = _column_order(layer, inputs, orders[inputs.units[0]])
                self._nested = NestedLeastSquares(gram, as_matrix(weight, layer.groups), order)

    def tensors(self, counts: Sequence[int]) -> dict[str, torch.Tensor]:
        rows = self._kept(self._layer.outputs, counts, inputs=False)
        tensors = {name: vector[rows] for name, vector in self._vectors.items()}
        tensors["weight"] = self._with_kept_inputs(counts)[rows]
        return tensors

    def _with_kept_inputs(self, counts: Sequence[int]) -> torch.Tensor:
        """The weight with its kept inputs and all of its outputs."""
        axis = self._layer.inputs
        if axis is None or not axis.units:
            return self._weight
        if self._gram is None:
            kept = self._kept(axis, counts, inputs=True)
            return with_inputs(self._weight, kept, self._layer.groups)
        key = (self._layer.name, tuple(counts[u] for u in axis.units))
        return self._fitted.get(key, lambda: self._fit(counts, axis).to(self._weight.device))

    def _fit(self, counts: Sequence[int], axis: Axis) -> torch.Tensor:
        positions, layer = self._kept(axis, counts, inputs=True), self._layer
        if self._nested is not None:
            solved = self._nested.weights(len(positions) // layer.groups * layer.weights)
        else:
            assert self._gram is not None
            columns = unfolded_columns(positions.numpy(), layer)
            solved = least_squares(self._gram, as_matrix(self._weight, layer.groups), columns)
        return as_weight(solved, self._weight)

    def _kept(self, axis: Axis, counts: Sequence[int], *, inputs: bool) -> torch.Tensor:
        """Kept positions of one of the layer's axes, ascending."""
        key = (inputs, tuple(counts[u] for u in axis.units))
        positions = self._positions.get(key)
        if positions is None:
            kept = [np.empty(0, dtype=np.int64)] * len(self._orders)
            for u in axis.units:
                kept[u] = self._orders[u][: counts[u]]
            positions = self._positions[key] = torch.from_numpy(axis.kept(tuple(kept)))
        return positions


def _column_order(layer: Layer, axis: Axis, order: np.ndarray) -> torch.Tensor:
    """All columns of an axis that one unit owns, each group's best channel first."""
    rank_of = np.empty(len(order), dtype=np.int64)
    rank_of[order] = np.arange(len(order))
    ranks = rank_of[axis.channel].reshape(layer.groups, -1)
    positions = np.argsort(ranks, axis=1, kind="stable")
    offsets = np.arange(layer.groups)[:, None] * ranks.shape[1]
    return unfolded_columns((positions + offsets).reshape(-1), layer)
