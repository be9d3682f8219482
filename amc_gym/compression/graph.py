"""Units of decision: the groups of channels that can only be pruned together.

For each axis of each layer: to which unit, and to which channel of that unit, each position
belongs.  Those index maps are computed once, by ``tracing``; counting, masking and slimming a
network are then index selections, whatever the topology (a flattened feature map repeats each
channel, a concatenation joins several units, a depthwise convolution follows the unit it filters).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from amc_gym.compression.channel_map import NOWHERE, ChannelMap

FIXED = -1
"""Unit index of a position that is never pruned: the network's input and output."""


class GraphError(ValueError):
    """The network cannot be compressed; the message names the module and the reason."""


def is_plain(module: nn.Module) -> bool:
    """Whether a module is of a class that torch defines, without hooks or parametrisations."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return (
        type(module).__module__.startswith("torch.nn.modules.")
        and "forward" not in vars(module)
        and not any(getattr(module, each) for each in hooks)
    )


@dataclass(frozen=True)
class Axis:
    """One channel axis of a layer: ``unit[p]`` and ``channel[p]`` of each of its positions."""

    unit: np.ndarray
    channel: np.ndarray

    @classmethod
    def fixed(cls, size: int) -> Axis:
        """Return an axis of which nothing is pruned."""
        return cls(np.full(size, FIXED), np.zeros(size, dtype=int))

    def __len__(self) -> int:
        return len(self.unit)

    @cached_property
    def units(self) -> tuple[int, ...]:
        """The units that own positions of this axis, ascending."""
        return tuple(int(u) for u in np.unique(self.unit) if u != FIXED)

    @cached_property
    def segments(self) -> tuple[slice, ...]:
        """Runs of positions that hold one map: those of one unit, its channels in order."""
        new = (np.diff(self.unit) != 0) | (np.diff(self.channel) < 0)
        bounds = [0, *(np.flatnonzero(new) + 1), len(self)]
        return tuple(slice(start, stop) for start, stop in pairwise(bounds))

    def kept(self, kept: tuple[np.ndarray, ...]) -> np.ndarray:
        """Positions that stay, where ``kept[u]`` are the kept channels of unit u in their order.

        Each map that lies on the axis has its channels in that order, so the positions are
        ascending where the channels are.
        """
        positions = []
        for run in self.segments:
            where = np.arange(run.start, run.stop)
            if (unit := self.unit[run.start]) != FIXED:
                rank = np.full(self.channel[run].max() + 1, -1)
                chosen = kept[unit][kept[unit] < len(rank)]
                rank[chosen] = np.arange(len(chosen))
                rank = rank[self.channel[run]]
                where = where[np.argsort(rank, kind="stable")[np.count_nonzero(rank < 0) :]]
            positions.append(where)
        return np.concatenate(positions)


@dataclass(frozen=True)
class Layer:
    """A convolution, linear layer or batch norm that holds channels.

    ``inputs`` is ``None`` for layers that mix no channels (depthwise convolutions, norms).
    """

    name: str
    kind: str  # "conv" | "depthwise" | "linear" | "norm"
    outputs: Axis
    inputs: Axis | None
    weights: int  # learnable weights per (output, input) pair: kernel height x width; norms: 1
    biases: int  # learnable values per output position besides them
    kernel: int  # side of the kernel, 1 for linear layers and norms
    stride: int
    height: int  # of the input feature map
    width: int
    sites: int  # positions of the output feature map: how often each weight is used
    groups: int = 1  # of a grouped convolution, which stays so; each group keeps as many channels
    folds: int = 1  # rows that one image has in the batch: crops, windows, frames
    multiplier: int = 1  # outputs for each input of a depthwise convolution
    norm: str | None = None  # the batch norm that reads this layer's output and nothing else does
    ceiling: float | None = None  # of the ReLU that alone reads the output, or that of its norm
    refits: bool = True  # whether least squares know what it computes: a plain Linear or Conv2d
    plain: bool = True  # a class of torch's, without hooks, run once by itself: it may be folded
    counted: bool = True  # its weights are parameters of its own, which no other module holds


@dataclass(frozen=True)
class Unit:
    """One coupled channel group, named by its first consumer in execution order.

    Behind a concatenation one layer is the first consumer of several units; the name of each is
    then followed by a colon and the first layer that produces it.
    """

    name: str
    channels: int
    consumers: tuple[str, ...]  # layers that read its channels and mix them, in execution order
    members: tuple[str, ...]  # every layer that touches it, in execution order
    blocks: int = 1  # consecutive blocks that keep equally many: the groups of its convolutions
    inputs: int | None = None  # input channels, where `channels` counts a layer's weights instead

    def first(self, count: int) -> np.ndarray:
        """Return the first ``count`` of its channels, equally many of each block, ascending."""
        blocks = np.arange(self.channels).reshape(self.blocks, -1)
        return blocks[:, : count // self.blocks].reshape(-1)


@dataclass(frozen=True)
class Parameter:
    """A parameter or buffer that holds channels.

    Attributes:
        owners: (module, attribute) of each place where the network holds it.
        axes: its dimensions.
        learnable: whether it is a parameter.
        counted: whether its layer's cost includes it.
        groups: of a grouped convolution's weight.
        reads: the input channels of such a weight, all groups' one behind the other.
        power: a unit, its channels, and an exponent: the parameter is multiplied by the share of
            channels that the unit keeps, to that power, where attention divides by the root of
            how many it sums over; ``None`` for others.
    """

    owners: tuple[tuple[str, str], ...]
    axes: tuple[Axis, ...]
    learnable: bool
    counted: bool
    groups: int = 1
    reads: Axis | None = None
    power: tuple[int, int, float] | None = None

    @property
    def units(self) -> tuple[int, ...]:
        """The units whose channels it holds, ascending."""
        axes = (*self.axes, *([] if self.reads is None else [self.reads]))
        return tuple(sorted({unit for axis in axes for unit in axis.units}))


@dataclass(frozen=True)
class Told:
    """A module that is told how many channels there are.

    Attributes:
        module: its name.
        axis: the channels.
        attribute: of the user's own module, which holds their number; "" for torch's modules,
            such as norms, of which it is known.
    """

    module: str
    axis: Axis
    attribute: str = ""


@dataclass(frozen=True)
class Constants:
    """Cost of a network that no decision changes, besides its layers."""

    macs: int = 0
    params: int = 0


@dataclass(frozen=True)
class Product:
    """A product that belongs to no layer: of two feature maps, or of a weight that no layer holds.

    Attributes:
        name: of the weight, or of the module in which it is computed.
        outputs: the channels that it makes, or sums over.
        inputs: others, with each of which each of those costs ``macs``; ``None`` if there are none.
        macs: of each of them.
    """

    name: str
    outputs: Axis
    inputs: Axis | None
    macs: int


@dataclass(frozen=True)
class Remap:
    """A ``ChannelMap`` of a traced network: which units its two sides belong to."""

    name: str
    source: np.ndarray
    inputs: Axis
    outputs: Axis

    def slim(self, network: nn.Module, kept: tuple[np.ndarray, ...]) -> None:
        """Leave the map between the kept channels, in place; pruned ones come from nowhere.

        Args:
            network: a copy of the traced network, slim or being made so.
            kept: kept channels of each unit.
        """
        columns = self.inputs.kept(kept)
        position = np.full(len(self.inputs) + 1, NOWHERE)  # the last one is that of NOWHERE
        position[columns] = np.arange(len(columns))
        self._set(network, position[self.source[self.outputs.kept(kept)]], len(columns))

    def mask(self, network: nn.Module, kept: tuple[np.ndarray, ...]) -> None:
        """Have the map read no pruned channel, in place; its size stays."""
        read = np.isin(self.source, self.inputs.kept(kept))
        self._set(network, np.where(read, self.source, NOWHERE), len(self.inputs))

    def _set(self, network: nn.Module, source: np.ndarray, inputs: int) -> None:
        module = network.get_submodule(self.name)
        assert isinstance(module, ChannelMap)
        module.source = torch.from_numpy(source).to(module.source.device)
        module.inputs = inputs


@dataclass(frozen=True)
class ChannelGraph:
    """The layers of a network in execution order and the units that couple their channels."""

    layers: dict[str, Layer]
    units: tuple[Unit, ...]
    fixed: dict[str, str] = field(default_factory=dict)  # what cannot be pruned -> why
    remaps: tuple[Remap, ...] = ()  # what carries channels from one unit to another
    parameters: tuple[Parameter, ...] = ()  # every tensor that holds channels
    told: tuple[Told, ...] = ()
    constants: Constants = Constants()  # frozen
    products: tuple[Product, ...] = ()  # that belong to no layer
    multiplied: tuple[int, ...] = ()  # units that are summed over without a layer's weight

    @property
    def full(self) -> tuple[int, ...]:
        """Channel count of each unit in the uncompressed network."""
        return tuple(unit.channels for unit in self.units)

    def without(self, names: Iterable[str]) -> ChannelGraph:
        """Graph after the named layers were folded away."""
        gone = set(names)
        layers = {n: layer for n, layer in self.layers.items() if n not in gone}
        units = tuple(
            replace(unit, members=tuple(m for m in unit.members if m not in gone))
            for unit in self.units
        )
        parameters = tuple(
            parameter
            for parameter in self.parameters
            if not any(module in gone for module, _ in parameter.owners)
        )
        told = tuple(each for each in self.told if each.module not in gone)
        return replace(self, layers=layers, units=units, parameters=parameters, told=told)
