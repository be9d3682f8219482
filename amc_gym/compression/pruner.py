"""Kept channels and recovered weights for any channel counts, remembered as they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from amc_gym.compression.graph import FIXED, Axis, ChannelGraph, Layer
from amc_gym.compression.importance import IMPORTANCES, Consumer, Importance
from amc_gym.compression.reconstruction import NestedLeastSquares, least_squares
from amc_gym.compression.slim import Kept

MEMORY = 96 * 2**20
"""Bytes of re-fitted weights that a pruner remembers; the least recently used go first."""


def rank(
    model: nn.Module,
    graph: ChannelGraph,
    grams: Mapping[str, torch.Tensor],
    importance: str | Importance,
) -> tuple[np.ndarray, ...]:
    """Order of each unit's channels, most important first.

    Args:
        model: the original network.
        graph: its channel graph.
        grams: Gram matrices by layer name; may be empty for rankings that need none.
        importance: a name of ``IMPORTANCES`` or a function from consumers to a permutation.

    Raises:
        ValueError: a user's function returned something else than a permutation.
    """
    function = IMPORTANCES[importance] if isinstance(importance, str) else importance
    orders = []
    for index, unit in enumerate(graph.units):
        consumers = [
            _consumer(model, graph.layers[name], index, grams.get(name)) for name in unit.consumers
        ]
        order = np.asarray(function(consumers))
        if not np.array_equal(np.sort(order), np.arange(unit.channels)):
            raise ValueError(
                f"importance must return a permutation of {unit.channels} channels "
                f"for unit {unit.name!r}, most important first"
            )
        orders.append(order)
    return tuple(orders)


def _consumer(model: nn.Module, layer: Layer, unit: int, gram: torch.Tensor | None) -> Consumer:
    """One consumer of a unit, its columns sorted by the unit's channel."""
    assert layer.inputs is not None
    mine = np.flatnonzero(layer.inputs.unit == unit)
    mine = mine[np.argsort(layer.inputs.channel[mine], kind="stable")]
    columns = _columns(mine, layer.weights)
    return Consumer(
        weight=matrix(model, layer)[columns],
        gram=None if gram is None else gram[columns][:, columns],
        size=len(columns) // len(np.unique(layer.inputs.channel[mine])),
    )


def matrix(model: nn.Module, layer: Layer) -> torch.Tensor:
    """A layer's weights as (columns, outputs) in float64."""
    weight = model.get_submodule(layer.name).weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach().flatten(1).T.double().cpu()


def _columns(positions: np.ndarray, size: int) -> torch.Tensor:
    """Columns of the unfolded input that belong to input positions."""
    return torch.from_numpy((positions[:, None] * size + np.arange(size)).reshape(-1))


def refit(
    model: nn.Module, graph: ChannelGraph, grams: Mapping[str, torch.Tensor], kept: Kept
) -> dict[str, torch.Tensor]:
    """Re-fitted weights of every layer with a Gram matrix, for any kept channels.

    The plain path: one least-squares solution for each layer, nothing remembered.

    Returns:
        Layer name -> (kept outputs, kept inputs, ...) in the shape of the slim layer's weight.
    """
    weights = {}
    for name, gram in grams.items():
        layer = graph.layers[name]
        assert layer.inputs is not None
        inputs = layer.inputs.kept(kept)
        solved = least_squares(gram, matrix(model, layer), _columns(inputs, layer.weights))
        rows = torch.from_numpy(layer.outputs.kept(kept))
        weights[name] = _shaped(solved, model, layer, len(inputs))[rows]
    return weights


def _shaped(solved: torch.Tensor, model: nn.Module, layer: Layer, n_inputs: int) -> torch.Tensor:
    weight = model.get_submodule(layer.name).weight
    assert isinstance(weight, torch.Tensor)
    shape = (weight.shape[0], n_inputs, *weight.shape[2:])
    return solved.T.reshape(shape).to(weight.dtype)


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
        self._model = model
        self._grams = grams
        self._nested: dict[str, NestedLeastSquares] = {}
        self._fitted: OrderedDict[tuple[str, tuple[int, ...]], torch.Tensor] = OrderedDict()
        self._fitted_bytes = 0
        self._positions: dict[tuple[str, bool, tuple[int, ...]], torch.Tensor] = {}
        for name, gram in grams.items():
            layer = graph.layers[name]
            assert layer.inputs is not None
            if len(layer.inputs.units) == 1 and not (layer.inputs.unit == FIXED).any():
                order = self._column_order(layer)
                self._nested[name] = NestedLeastSquares(gram, matrix(model, layer), order)

    def kept(self, counts: Sequence[int]) -> Kept:
        """Kept channels of each unit, ascending."""
        return tuple(
            np.sort(order[:count]) for order, count in zip(self.orders, counts, strict=True)
        )

    def tensors(self, counts: Sequence[int], layer: Layer) -> dict[str, torch.Tensor]:
        """Weight, bias and running statistics of one slim layer, by name."""
        module = self._model.get_submodule(layer.name)
        rows = self._kept_positions(layer, counts, inputs=False)
        tensors = {
            name: tensor.detach()[rows]
            for name, tensor in (*module._parameters.items(), *module._buffers.items())
            if tensor is not None and tensor.dim() > 0 and name != "weight"
        }
        tensors["weight"] = self._weight(layer, counts)[rows]
        return tensors

    def _weight(self, layer: Layer, counts: Sequence[int]) -> torch.Tensor:
        """The layer's weight with its kept inputs and all of its outputs."""
        weight = self._model.get_submodule(layer.name).weight
        assert isinstance(weight, torch.Tensor)
        if layer.inputs is None or not layer.inputs.units:
            return weight.detach()
        if layer.name not in self._grams:
            return weight.detach()[:, self._kept_positions(layer, counts, inputs=True)]
        key = (layer.name, tuple(counts[u] for u in layer.inputs.units))
        if key in self._fitted:
            self._fitted.move_to_end(key)
            return self._fitted[key]
        fitted = self._fit(layer, counts).to(weight.device)
        self._fitted[key] = fitted
        self._fitted_bytes += fitted.nbytes
        while self._fitted_bytes > MEMORY and len(self._fitted) > 1:
            self._fitted_bytes -= self._fitted.popitem(last=False)[1].nbytes
        return fitted

    def _fit(self, layer: Layer, counts: Sequence[int]) -> torch.Tensor:
        positions = self._kept_positions(layer, counts, inputs=True)
        nested = self._nested.get(layer.name)
        if nested is not None:
            solved = nested.weights(len(positions) * layer.weights)
        else:
            columns = _columns(positions.numpy(), layer.weights)
            solved = least_squares(self._grams[layer.name], matrix(self._model, layer), columns)
        return _shaped(solved, self._model, layer, len(positions))

    def _kept_positions(self, layer: Layer, counts: Sequence[int], *, inputs: bool) -> torch.Tensor:
        axis = layer.inputs if inputs else layer.outputs
        assert axis is not None
        units = axis.units
        key = (layer.name, inputs, tuple(counts[u] for u in units))
        if key not in self._positions:
            kept = [np.empty(0, dtype=np.int64)] * len(self.orders)
            for u in units:
                kept[u] = self.orders[u][: counts[u]]
            self._positions[key] = torch.from_numpy(axis.kept(tuple(kept)))
        return self._positions[key]

    def _column_order(self, layer: Layer) -> torch.Tensor:
        """All columns of a layer that one unit feeds, those of its best channel first."""
        axis = layer.inputs
        assert isinstance(axis, Axis)
        rank_of = np.empty(len(self.orders[axis.units[0]]), dtype=np.int64)
        rank_of[self.orders[axis.units[0]]] = np.arange(len(rank_of))
        positions = np.argsort(rank_of[axis.channel], kind="stable")
        return _columns(positions, layer.weights)
