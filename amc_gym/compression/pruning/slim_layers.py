"""The tensors of one layer of slim networks, for any channel counts of the units around it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from amc_gym.compression.graph import Axis, Layer, Parameter
from amc_gym.compression.pruning.full_width import (
    FullWidth,
    NestedWeight,
    SelectedWeight,
    SolvedWeight,
)
from amc_gym.compression.recovery.reconstruction import (
    NestedLeastSquares,
    as_matrix,
    as_weight,
    least_squares,
    unfolded_columns,
)
from amc_gym.compression.slim import Kept, oriented, select, with_inputs

MEMORY = 64 * 2**20
"""Most bytes of remembered tensors for a network; the least recently used are dropped first."""


class SortedLayer:
    """A layer whose tensors are sorted by rank once and then sliced."""

    def __init__(
        self, module: nn.Module, layer: Layer, everything: Kept, gram: torch.Tensor | None
    ) -> None:
        # Units that own the axes, and positions per channel.
        self._rows = _owner(layer.outputs, everything)
        self._columns = _owner(layer.inputs, everything)
        self._layer = layer
        rows = torch.from_numpy(layer.outputs.kept(everything))
        self._vectors = {name: vector[rows] for name, vector in _vectors(module).items()}
        weight = oriented(module)[rows]
        self._nested: NestedLeastSquares | None = None
        if layer.inputs is not None and layer.inputs.units:
            columns = layer.inputs.kept(everything)
            if gram is not None:
                order = unfolded_columns(columns, layer)[0]
                there = (gram[0].to(weight.device), as_matrix(weight)[0], order.to(weight.device))
                self._nested = NestedLeastSquares(*there)
            weight = weight[:, torch.from_numpy(columns)]
        self._weight = weight.contiguous()

    def lost(self, unit: int, order: np.ndarray, gram: torch.Tensor | None) -> np.ndarray:
        """Return the output's squared error with the unit's k best channels, (channels + 1,)."""
        if self._nested is None:
            assert self._layer.inputs is not None
            columns = np.argsort(np.argsort(order)[self._layer.inputs.channel], kind="stable")
            weight = self._weight[:, torch.from_numpy(np.argsort(columns))]  # in the original order
            return _lost(weight, gram, self._layer, unit, order)
        return _left(self._nested.explained().cpu().reshape(len(order), -1).sum(1).numpy())

    def tensors(
        self, counts: Sequence[int], widths: Sequence[int] | None = None
    ) -> dict[str, torch.Tensor]:
        """Return the tensors of the slim layer by name.

        Args:
            counts: channels that each unit keeps.
            widths: channels that the tensors have room for, at least ``counts``, which are the
                default.  No weight reads what is above the counts.
        """
        widths = counts if widths is None else widths
        rows = self._rows and widths[self._rows[0]] * self._rows[1]
        tensors = {name: vector[:rows] for name, vector in self._vectors.items()}
        if self._columns is None:
            tensors["weight"] = self._weight[:rows]
            return tensors
        unit, per_channel = self._columns
        columns, width = counts[unit] * per_channel, widths[unit] * per_channel
        if self._nested is not None:
            each = self._layer.weights
            solved = self._nested.weights(columns * each, rows, width * each)
            shape = (len(solved), width, *self._weight.shape[2:])
            tensors["weight"] = solved.reshape(shape).to(self._weight)
        elif width == columns:
            tensors["weight"] = self._weight[:rows, :columns]
        else:
            tensors["weight"] = self._weight[:rows, :width].clone()
            tensors["weight"][:, columns:] = 0
        return tensors

    def full_width(self, everything: Kept, device: torch.device) -> FullWidth:
        """Return the weight as a function of the kept inputs, in the order of ``everything``."""
        if self._nested is None:
            return SelectedWeight(self._weight, self._layer.groups, device)
        return NestedWeight(self._nested, self._weight.shape, device)


class IndexedLayer:
    """A layer after a concatenation or with groups, whose tensors are selected by index.

    The kept inputs of each group are nested, and their fit is factored once.  After a
    concatenation they are products of nested sets, and the block of each plan is factored.
    """

    def __init__(
        self,
        module: nn.Module,
        layer: Layer,
        layout: Callable[[Sequence[int]], Kept],
        gram: torch.Tensor | None,
        order: torch.Tensor | None,
        remembered: Remembered,
    ) -> None:
        self._layer, self._layout, self._gram = layer, layout, gram
        self._vectors, self._weight = _vectors(module), oriented(module)
        self._remembered = remembered
        self._nested: NestedLeastSquares | None = None
        if gram is not None and order is not None:
            self._order = order.to(self._weight.device)
            matrix = as_matrix(self._weight, layer.groups)
            self._nested = NestedLeastSquares(gram.to(matrix.device), matrix, self._order)
        axes = (layer.outputs,) if layer.inputs is None else (layer.outputs, layer.inputs)
        self._units = sorted({unit for axis in axes for unit in axis.units})

    def lost(self, unit: int, order: np.ndarray, gram: torch.Tensor | None) -> np.ndarray:
        """Return the output's squared error with the unit's k best channels, (channels + 1,).

        With groups the unit keeps equally many channels of each; between such counts the error is
        interpolated linearly.  After a concatenation the weights are not re-fitted.
        """
        layer, inputs = self._layer, self._layer.inputs
        assert inputs is not None
        if self._nested is not None and inputs.units == (unit,):
            by_rank = self._nested.explained().cpu().reshape(len(order) // layer.groups, -1).sum(1)
            return _left(by_rank.repeat_interleave(layer.groups).div(layer.groups).numpy())
        return _lost(self._weight, self._gram if gram is None else gram, layer, unit, order)

    def tensors(self, counts: Sequence[int]) -> dict[str, torch.Tensor]:
        """Return the slim layer's tensors by name, for the counts of all units."""
        key = (self._layer.name, tuple(counts[u] for u in self._units))
        return self._remembered.get(key, lambda: self._select(self._layout(counts)))

    def _select(self, kept: Kept) -> dict[str, torch.Tensor]:
        layer = self._layer
        rows = torch.from_numpy(layer.outputs.kept(kept))
        tensors = {name: vector[rows] for name, vector in self._vectors.items()}
        weight = self._weight
        if layer.inputs is not None and layer.inputs.units:
            inputs = layer.inputs.kept(kept)
            if self._gram is None:
                weight = with_inputs(weight, torch.from_numpy(inputs), layer.groups)
            else:
                solved = self._fit(self._gram, unfolded_columns(inputs, layer))
                weight = as_weight(solved, weight).to(weight.device)
        tensors["weight"] = weight[rows]
        return tensors

    def _fit(self, gram: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Return the best weights of the kept columns, (groups, columns, outputs)."""
        if self._nested is None:
            matrix = as_matrix(self._weight, self._layer.groups).cpu()
            return least_squares(gram, matrix, columns)
        k = columns.shape[1]
        ascending = self._order[:, :k].argsort(-1)
        return torch.take_along_dim(self._nested.weights(k).mT, ascending[..., None], -2)

    def full_width(self, everything: Kept, device: torch.device) -> FullWidth:
        """Return the weight as a function of the kept inputs, in the order of ``everything``."""
        layer = self._layer
        assert layer.inputs is not None
        inputs, rows = (axis.kept(everything) for axis in (layer.inputs, layer.outputs))
        weight = with_inputs(self._weight, torch.from_numpy(inputs), layer.groups)
        weight = weight[torch.from_numpy(rows)]
        if self._gram is None:
            return SelectedWeight(weight, layer.groups, device)
        columns = unfolded_columns(inputs, layer)
        gram = torch.take_along_dim(self._gram, columns[..., None], -2)
        gram = torch.take_along_dim(gram, columns[:, None], -1)
        return SolvedWeight(gram, weight, device)


class SelectedLayer:
    """A layer of another kind, whose tensors are selected as in ``slim`` and never re-fitted."""

    def __init__(self, module: nn.Module, layer: Layer) -> None:
        self._module, self._layer = module, layer

    def lost(self, unit: int, order: np.ndarray, gram: torch.Tensor | None) -> np.ndarray:
        """Return the output's squared error with the unit's k best channels, (channels + 1,)."""
        return _lost(oriented(self._module), None, self._layer, unit, order)

    def tensors(self, counts: Sequence[int]) -> dict[str, torch.Tensor]:
        """Return the slim layer's tensors by name, for the counts of all units."""
        return {}


class SelectedParameter:
    """A parameter or buffer outside of known layers, selected by index for each plan."""

    def __init__(
        self,
        tensor: torch.Tensor,
        parameter: Parameter,
        layout: Callable[[Sequence[int]], Kept],
        remembered: Remembered,
    ) -> None:
        self._tensor, self._parameter, self._layout = tensor, parameter, layout
        self._remembered = remembered
        self.owners = parameter.owners
        self._name = ".".join(parameter.owners[0])

    def __call__(self, counts: Sequence[int]) -> torch.Tensor:
        """Return the kept part of the parameter."""
        key = (self._name, tuple(counts[unit] for unit in self._parameter.units))
        return self._remembered.get(key, lambda: {"": self._select(counts)})[""]

    def _select(self, counts: Sequence[int]) -> torch.Tensor:
        return select(self._tensor, self._parameter, self._layout(counts))


class Remembered:
    """A cache of the most recently used tensors of slim layers, of at most ``MEMORY`` bytes."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, tuple[int, ...]], dict[str, torch.Tensor]]
        self._entries = OrderedDict()
        self.bytes = 0

    def __reduce__(self) -> tuple[type[Remembered], tuple[()]]:
        return Remembered, ()  # copies start empty

    def get(
        self,
        key: tuple[str, tuple[int, ...]],
        make: Callable[[], dict[str, torch.Tensor]],
    ) -> dict[str, torch.Tensor]:
        """Return tensors by layer and counts from the cache, or make and cache them."""
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key]
        entry = self._entries[key] = make()
        self.bytes += _bytes(entry)
        while self.bytes > MEMORY and len(self._entries) > 1:
            self.bytes -= _bytes(self._entries.popitem(last=False)[1])
        return entry


def _bytes(tensors: Mapping[str, torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())


def _owner(axis: Axis | None, everything: Kept) -> tuple[int, int] | None:
    """Return the unit of an axis and its positions per channel; ``None`` if nothing is prunable."""
    if axis is None or not axis.units:
        return None
    (unit,) = axis.units
    return unit, len(axis) // len(everything[unit])


def _left(explained: np.ndarray) -> np.ndarray:
    """Return the squares explained by all channels after the first k, for k = 0, 1, ..."""
    return explained.sum() - np.concatenate([[0.0], np.cumsum(explained)])


def _lost(
    weight: torch.Tensor, gram: torch.Tensor | None, layer: Layer, unit: int, order: np.ndarray
) -> np.ndarray:
    """Return the squared error of a layer's output with k channels of a unit and no re-fitting.

    Dropping channels D drops X_D W_D: |X_D W_D|^2 is the sum over the block D x D of X^T X * W W^T.
    Without a Gram matrix the inputs count as independent and equally large.

    Args:
        weight: of the layer, with all channels of the original network in their order.
        gram: of its unfolded input, (groups, columns, columns).
        layer: the layer.
        unit: the unit that is pruned; all other inputs are kept.
        order: its channels by rank, (channels,).
    """
    assert layer.inputs is not None
    matrix = as_matrix(weight, layer.groups).cpu()  # (groups, columns, outputs)
    if gram is None:
        products = torch.diag_embed(matrix.square().sum(-1))
    else:
        products = gram * (matrix @ matrix.mT)
    rank = np.argsort(order)
    mine = layer.inputs.unit == unit
    # Columns of other units are added to an extra row and column, which is cut off.
    place = np.where(mine, rank[np.where(mine, layer.inputs.channel, 0)], len(order))
    places = torch.from_numpy(place.repeat(layer.weights).reshape(layer.groups, -1))
    block = torch.zeros(len(order) + 1, len(order) + 1, dtype=torch.float64)
    for where, product in zip(places, products, strict=True):
        block.index_put_((where[:, None], where[None]), product, accumulate=True)
    blocks = block[:-1, :-1].flip(0, 1).cumsum(0).cumsum(1).diagonal().flip(0)
    return np.append(blocks.numpy(), 0.0)


def _vectors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a layer's vectors with one entry for each output channel."""
    return {
        name: tensor.detach()
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
        if name != "weight" and tensor.dim() > 0  # the batch counter of norms has no channels
    }
