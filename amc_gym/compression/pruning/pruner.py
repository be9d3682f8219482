"""Kept channels and recovered weights for any channel counts, computed on demand and remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from amc_gym.compression.cost.closed_form import kept_positions
from amc_gym.compression.graph import Axis, ChannelGraph, Layer, Parameter
from amc_gym.compression.pruning.full_width import FullWidth
from amc_gym.compression.pruning.slim_layers import (
    IndexedLayer,
    Remembered,
    SelectedLayer,
    SelectedParameter,
    SortedLayer,
)
from amc_gym.compression.recovery.reconstruction import unfolded_columns
from amc_gym.compression.slim import Kept, rescaled


class Pruner:
    """The tensors of the slim network of ``model`` when unit u keeps its best ``counts[u]``.

    Nothing here depends on the agent: orders, factors and index maps are computed once.  In the
    slim network a unit's channels are in order of their rank, so that the tensors of most layers
    are leading blocks of tensors that were sorted once: a plan costs views, and one matrix product
    for each re-fitted layer.

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
        everything = self.layout(graph.full)
        remembered = Remembered()
        self._layers: dict[str, SortedLayer | IndexedLayer | SelectedLayer] = {}
        for name, layer in graph.layers.items():
            module, gram = model.get_submodule(name), grams.get(name)
            if not is_known(module, layer):
                self._layers[name] = SelectedLayer(module, layer)
            elif _is_sorted(layer, graph):
                self._layers[name] = SortedLayer(module, layer, everything, gram)
            else:
                nested = gram is not None and layer.groups > 1 and _is_whole(layer.inputs, graph)
                order = self._order_in_groups(layer) if nested else None
                self._layers[name] = IndexedLayer(
                    module, layer, self.layout, gram, order, remembered
                )

        known = self._layers.keys() - {
            name for name, layer in self._layers.items() if isinstance(layer, SelectedLayer)
        }
        self.unknown = tuple(
            layer
            for name, layer in graph.layers.items()
            if name not in known and layer.kind != "norm"
        )
        """Layers whose tensors are in ``parameters``."""
        self.parameters = tuple(
            SelectedParameter(_tensor(model, parameter), parameter, self.layout, remembered)
            for parameter in graph.parameters
            if not (len(parameter.owners) == 1 and parameter.owners[0][0] in known)
        )
        """Tensors that belong to no known layer."""
        self._powers: dict[str, list[Parameter]] = {}
        for parameter in graph.parameters:
            if parameter.power is not None:
                self._powers.setdefault(parameter.owners[0][0], []).append(parameter)
        self._widths = tuple((each.module, each.attribute) for each in graph.width_attributes)
        self._positions = kept_positions(
            [each.axis for each in graph.width_attributes], graph.units
        )

    def _order_in_groups(self, layer: Layer) -> torch.Tensor:
        """Return the columns of each group of a grouped convolution by rank, (groups, columns)."""
        assert layer.inputs is not None
        (unit,) = layer.inputs.units
        rank = np.argsort(self.orders[unit]).reshape(layer.groups, -1)
        within = np.argsort(rank, axis=1)
        starts = np.arange(layer.groups)[:, None] * rank.shape[1]
        return unfolded_columns((starts + within).reshape(-1), layer)

    def kept(self, counts: Sequence[int]) -> Kept:
        """Return the kept channels of each unit, in ascending order."""
        return tuple(
            np.sort(order[:count]) for order, count in zip(self.orders, counts, strict=True)
        )

    def layout(self, counts: Sequence[int]) -> Kept:
        """Return the kept channels of each unit in their order in the slim network.

        Ordered by rank, or ascending in units that grouped convolutions divide into blocks.
        """
        kept = zip(self.graph.units, self.orders, counts, strict=True)
        return tuple(
            order[:count] if unit.blocks == 1 else np.sort(order[:count])
            for unit, order, count in kept
        )

    def module_widths(self, counts: Sequence[int]) -> list[tuple[str, int, str]]:
        """Return (module, channels, attribute) of modules that store their number of channels."""
        if not self._widths:
            return []
        fixed, matrix, parts = self._positions
        channels = (fixed + matrix @ np.asarray(counts)) // parts
        return [
            (module, count, attribute)
            for (module, attribute), count in zip(self._widths, channels.tolist(), strict=True)
        ]

    def errors(
        self,
        grams: Mapping[str, torch.Tensor] | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> list[np.ndarray]:
        """Return errors of a unit's readers when it keeps k channels, (channels + 1,) each.

        The error is the relative squared error of a layer's output on the calibration samples, with
        all its other inputs kept; it is weighted and summed over the layers.  It falls from the sum
        of the weights at 0 channels to 0 at all of them.  A layer that this pruner re-fits has
        re-fitted weights, any other its original ones.

        Args:
            grams: Gram matrices of layers that are not re-fitted.  For layers without one, the
                pruned share of squared weights serves as the error.
            weights: weight of each layer's error, by name; 1 by default.
        """
        grams = grams or {}
        errors = [np.zeros(unit.channels + 1) for unit in self.graph.units]
        for name, layer in self.graph.layers.items():
            if layer.inputs is None:
                continue
            for unit in layer.inputs.units:
                lost = self._layers[name].lost(unit, self.orders[unit], grams.get(name))
                lost = np.maximum.accumulate(np.maximum(lost, 0)[::-1])[::-1]
                weight = 1.0 if weights is None else weights[name]
                errors[unit] += weight * lost / max(lost[0], np.finfo(float).tiny)
        return errors

    def places(self, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
        """Return the unit and the rank of each position of an axis in a full slim network.

        A position is kept if its unit keeps more channels than its rank; ``FIXED`` ones always are.
        """
        positions = axis.kept(self.layout(self.graph.full))
        units, ranks = axis.unit[positions], np.zeros(len(positions), dtype=int)
        for unit in axis.units:
            mine = units == unit
            ranks[mine] = np.argsort(self.orders[unit])[axis.channel[positions][mine]]
        return units, ranks

    def full_width(self, name: str, device: torch.device) -> FullWidth:
        """Return a layer's weight as a function of its kept inputs, on a device.

        Raises:
            ValueError: the layer's weight has an unknown form.
        """
        layer = self._layers[name]
        if isinstance(layer, SelectedLayer) or name in self._powers:
            raise ValueError(f"layer {name!r} holds its weight in an unknown form")
        return layer.full_width(self.layout(self.graph.full), device)

    @property
    def is_sorted(self) -> bool:
        """Whether all tensors of slim networks are leading blocks of tensors sorted by rank."""
        layers = all(isinstance(layer, SortedLayer) for layer in self._layers.values())
        return layers and not (self.parameters or self._widths or self._powers or self.graph.remaps)

    def tensors(
        self, counts: Sequence[int], name: str, widths: Sequence[int] | None = None
    ) -> dict[str, torch.Tensor]:
        """Return weight, bias and running statistics of one slim layer; not to be written to.

        Args:
            counts: channels that each unit keeps.
            name: of the layer.
            widths: channels that the tensors have room for, at least ``counts``, which are the
                default; only where ``is_sorted``.

        Returns:
            Tensors by their names in the layer's module.
        """
        layer = self._layers[name]
        if widths is not None:
            assert isinstance(layer, SortedLayer)
            return layer.tensors(counts, widths)
        tensors = layer.tensors(counts)
        if tensors and name in self._powers:
            return tensors | {
                parameter.owners[0][1]: rescaled(tensors[parameter.owners[0][1]], parameter, counts)
                for parameter in self._powers[name]
            }
        return tensors


def is_known(module: nn.Module, layer: Layer) -> bool:
    """Return whether a layer is a plain one that holds only a weight and vectors."""
    transposed = isinstance(module, nn.modules.conv._ConvNd) and module.transposed
    return layer.plain and layer.counted and not transposed and module.weight is not None


def _tensor(model: nn.Module, parameter: Parameter) -> torch.Tensor:
    module, name = parameter.owners[0]
    return getattr(model.get_submodule(module), name).detach()


def _is_whole(axis: Axis | None, graph: ChannelGraph) -> bool:
    """Return whether an axis holds one unit, with each channel once and in order."""
    if axis is None or len(axis.units) != 1 or (axis.unit != axis.units[0]).any():
        return False
    return np.array_equal(axis.channel, np.arange(graph.units[axis.units[0]].channels))


def _is_sorted(layer: Layer, graph: ChannelGraph) -> bool:
    """Return whether each axis holds one unit without blocks, or nothing prunable."""
    return all(
        axis is None
        or not axis.units
        or (len(axis.segments) == 1 and graph.units[axis.units[0]].blocks == 1)
        for axis in (layer.inputs, layer.outputs)
    )
