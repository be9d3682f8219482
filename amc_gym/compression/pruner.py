"""Kept channels and recovered weights for any channel counts, remembered as they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

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
        self._model, self._layer, self._orders, self._gram = model, layer, orders, gram
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
                order = _column_order(inputs, orders[inputs.units[0]], layer.weights)
                self._nested = NestedLeastSquares(gram, matrix(model, layer), order)

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
            return self._weight[:, self._kept(axis, counts, inputs=True)]
        key = (self._layer.name, tuple(counts[u] for u in axis.units))
        return self._fitted.get(key, lambda: self._fit(counts, axis).to(self._weight.device))

    def _fit(self, counts: Sequence[int], axis: Axis) -> torch.Tensor:
        positions = self._kept(axis, counts, inputs=True)
        if self._nested is not None:
            solved = self._nested.weights(len(positions) * self._layer.weights)
        else:
            assert self._gram is not None
            columns = _columns(positions.numpy(), self._layer.weights)
            solved = least_squares(self._gram, matrix(self._model, self._layer), columns)
        return _shaped(solved, self._model, self._layer, len(positions))

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


def _column_order(axis: Axis, order: np.ndarray, size: int) -> torch.Tensor:
    """All columns of an axis that one unit owns, those of its best channel first."""
    rank_of = np.empty(len(order), dtype=np.int64)
    rank_of[order] = np.arange(len(order))
    return _columns(np.argsort(rank_of[axis.channel], kind="stable"), size)
