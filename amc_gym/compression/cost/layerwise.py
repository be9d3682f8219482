"""A user's own resource: a function of one layer's sizes, such as its energy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from amc_gym._utils.arguments import function, whole
from amc_gym._utils.names import choose
from amc_gym._utils.own_code import qualified
from amc_gym.compression.cost.closed_form import kept_positions
from amc_gym.compression.cost.macs import Macs
from amc_gym.compression.cost.params import Params
from amc_gym.compression.cost.resource import RESOURCES, Cost, Resource, add
from amc_gym.compression.graph import ChannelGraph

REST = "rest"
"""Kind of everything outside of layers: products of activations, other parameters."""

TRIED = 17
"""Counts of each unit at which a function is checked to be non-decreasing."""


@dataclass(frozen=True)
class LayerSize:
    """Sizes of one layer of a compressed network.

    Attributes:
        name: of its module.
        kind: "conv", "depthwise", "linear", "norm", or "rest" for everything outside of layers.
        inputs: channels that it mixes; 1 if it mixes none.
        outputs: channels that it produces.
        kernel: side of the kernel.
        stride: of the kernel.
        height: of the input feature map.
        width: of the input feature map.
        sites: positions of the output feature map.
        groups: of a grouped convolution.
        macs: multiply-accumulates.
        params: learnable parameters.
    """

    name: str
    kind: str
    inputs: int = 1
    outputs: int = 1
    kernel: int = 1
    stride: int = 1
    height: int = 1
    width: int = 1
    sites: int = 1
    groups: int = 1
    macs: int = 0
    params: int = 0


LayerFunction = Callable[[LayerSize], int]
"""Cost of a layer, a whole number that never decreases when the layer grows."""


class Layerwise(Resource):
    """A resource whose cost is the sum of a function over the layers.

    Args:
        function: of a layer's sizes.
        name: its name in options and plans; None: the function's qualified name.
        title: its name in tables; None: ``name``.

    Raises:
        TypeError: the function does not take exactly one argument.
    """

    def __init__(
        self, function_: LayerFunction, name: str | None = None, title: str | None = None
    ) -> None:
        self._function = function("resource", function_, "a layer's sizes")
        self.name = qualified(function_) if name is None else name
        self.title = title or self.name

    def of_channels(self, graph: ChannelGraph) -> LayerwiseCost:
        """Return the cost model for any channel counts.

        Raises:
            ValueError: the function fails, or decreases somewhere when a unit grows.
        """
        return LayerwiseCost(graph, self.of_layer, self.name)

    def of_layer(self, size: LayerSize) -> int:
        """Return the cost of one layer.

        Raises:
            ValueError: the function fails, or does not return a whole number of at least 0.
        """
        try:
            return whole("what it returns", self._function(size), at_least=0)
        except Exception as error:
            raise ValueError(f"resource {self.name!r} of {size}: {error}") from error


class LayerwiseCost:
    """Cost of a network as the sum of a function over its layers.

    Args:
        graph: the traced network.
        of_layer: the function.
        name: of the resource, for messages.

    Raises:
        ValueError: the function fails, or decreases somewhere when a unit grows.
    """

    def __init__(self, graph: ChannelGraph, of_layer: LayerFunction, name: str) -> None:
        self.names = tuple(graph.layers)
        self._graph, self._of_layer, self._name = graph, of_layer, name
        self._known: dict[tuple[int, ...], int] = {}
        self._plain: tuple[Cost, ...] = (Macs().of_channels(graph), Params().of_channels(graph))
        layers = graph.layers.values()
        axes = [layer.outputs for layer in layers] + [layer.inputs for layer in layers]
        self._axes = kept_positions(axes, graph.units)
        self._check()
        self.full = self.total(graph.full)

    @cached_property
    def _full_sizes(self) -> tuple[LayerSize, ...]:
        """Return the sizes of the layers in the uncompressed network."""
        return tuple(
            LayerSize(
                name,
                layer.kind,
                kernel=layer.kernel,
                stride=layer.stride,
                height=layer.height,
                width=layer.width,
                sites=layer.sites,
                groups=layer.groups,
            )
            for name, layer in self._graph.layers.items()
        )

    def per_layer(self, counts: Sequence[int]) -> np.ndarray:
        """Return the cost of each layer, (layers,) int64, in execution order."""
        return self._each(counts)[:-1]

    def total(self, counts: Sequence[int]) -> int:
        """Return the cost of the whole network whose unit u keeps ``counts[u]`` channels."""
        return int(self._each(counts).sum())

    def totals(self, plans: np.ndarray) -> np.ndarray:
        """Return the costs of several networks: counts (n, units) -> (n,) int64."""
        return np.array([self.total(counts) for counts in plans.tolist()], dtype=np.int64)

    def _each(self, counts: Sequence[int]) -> np.ndarray:
        """Return the cost of each layer, and of the rest, (layers + 1,)."""
        fixed, matrix, parts = self._axes
        outputs, inputs = np.split((fixed + matrix @ np.asarray(counts)) // parts, 2)
        plain = [
            [*(layers := cost.per_layer(counts)), cost.total(counts) - layers.sum()]
            for cost in self._plain
        ]
        rows = zip([*outputs, 1], [*inputs, 1], *plain, strict=True)
        return np.array([self._cost(place, *map(int, row)) for place, row in enumerate(rows)])

    def _cost(self, place: int, outputs: int, inputs: int, macs: int, params: int) -> int:
        key = place, outputs, inputs, macs, params
        if key not in self._known:
            whole_size = (*self._full_sizes, LayerSize("", REST))[place]
            sizes: dict[str, Any] = {"outputs": outputs, "inputs": inputs}
            size = replace(whole_size, **sizes, macs=macs, params=params)
            self._known[key] = self._of_layer(size)
        return self._known[key]

    def _check(self) -> None:
        """Check each unit at several counts, with the others at their smallest and full size."""
        units = self._graph.units
        for least in (True, False):
            others = [unit.blocks if least else unit.channels for unit in units]
            for number, unit in enumerate(units):
                parts = np.linspace(1, unit.channels // unit.blocks, TRIED).astype(int)
                tried = [int(count) for count in np.unique(parts) * unit.blocks]
                totals = [self.total([*others[:number], n, *others[number + 1 :]]) for n in tried]
                for fewer, more, low, high in zip(
                    tried, tried[1:], totals, totals[1:], strict=False
                ):
                    if high < low:
                        raise ValueError(
                            f"resource {self._name!r} falls from {low:,} to {high:,} when unit "
                            f"{unit.name!r} grows from {fewer} to {more} channels: a larger "
                            "network must never cost less"
                        )


def register(name: str, title: str | None = None) -> Callable[[LayerFunction], LayerFunction]:
    """Register a function of a layer's sizes as a resource; use as a decorator.

    Args:
        name: value of the option ``resource``.
        title: its name in tables.

    Raises:
        ValueError: another resource has that name.
    """

    def known(of_layer: LayerFunction) -> LayerFunction:
        add(Layerwise(of_layer, name, title))
        return of_layer

    return known


ResourceLike = str | LayerFunction | Resource


def resource_of(resource: ResourceLike) -> Resource:
    """Return the resource of a name, or of a user's function of a layer's sizes.

    Raises:
        TypeError: it is neither.
        ValueError: the name is unknown.
    """
    if isinstance(resource, Resource):
        return resource
    if isinstance(resource, str) or not callable(resource):
        return RESOURCES[choose("resource", resource, (*RESOURCES, "latency"))]
    return Layerwise(resource)
