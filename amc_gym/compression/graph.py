"""Units of decision: groups of channels that can only be pruned together.

For each axis of each layer, index maps say to which unit, and to which channel of that unit, each
position belongs.  They are computed once, by ``tracing``; counting, masking and slimming a network
are then index selections, for any topology (a flattened feature map repeats each channel, a
concatenation joins several units, a depthwise convolution follows the unit that it filters).
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
"""Unit index of positions that are never pruned, such as the network's input and output."""


class GraphError(ValueError):
    """Raised when a network cannot be compressed; the message names the module and the reason."""


def is_plain(module: nn.Module) -> bool:
    """Return whether a module's class is torch's own, without hooks or parametrisations."""
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
        """Return an axis whose positions are never pruned."""
        return cls(np.full(size, FIXED), np.zeros(size, dtype=int))

    def __len__(self) -> int:
        return len(self.unit)

    @cached_property
    def units(self) -> tuple[int, ...]:
        """Units that own positions of this axis, in ascending order."""
        return tuple(int(u) for u in np.unique(self.unit) if u != FIXED)

    @cached_property
    def segments(self) -> tuple[slice, ...]:
        """Runs of positions that belong to one unit, with its channels in order."""
        new = (np.diff(self.unit) != 0) | (np.diff(self.channel) < 0)
        bounds = [0, *(np.flatnonzero(new) + 1), len(self)]
        return tuple(slice(start, stop) for start, stop in pairwise(bounds))

    def kept(self, kept: tuple[np.ndarray, ...]) -> np.ndarray:
        """Return the kept positions, where ``kept[u]`` are unit u's kept channels in order.

        Within each segment the positions follow the order of the channels: they ascend if the
        channels do.
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
    """A convolution, linear layer or batch norm with prunable channels.

    ``inputs`` is ``None`` for layers that mix no channels (depthwise convolutions, norms).
    """

    name: str
    kind: str  # "conv" | "depthwise" | "linear" | "norm"
    outputs: Axis
    inputs: Axis | None
    weights: int  # learnable weights per (output, input) pair: kernel height x width; norms: 1
    biases: int  # further learnable values per output position
    kernel: int  # side of the kernel, 1 for linear layers and norms
    stride: int
    height: int  # of the input feature map
    width: int
    sites: int  # positions of the output feature map: how often each weight is used
    groups: int = 1  # of a grouped convolution; all groups keep equally many channels
    folds: int = 1  # rows that one image has in the batch: crops, windows, frames
    multiplier: int = 1  # outputs for each input of a depthwise convolution
    norm: str | None = None  # the batch norm that is the only reader of this layer's output
    ceiling: float | None = None  # of the ReLU that is the only reader of output or norm
    refits: bool = True  # whether least squares apply to it: a plain Linear or Conv2d
    plain: bool = True  # torch's own class without hooks, run once: may be folded
    counted: bool = True  # whether no other module shares its weights


@dataclass(frozen=True)
class Unit:
    """A group of coupled channels, named by its first consumer in execution order.

    If one layer is the first consumer of several units, as after a concatenation, each name is
    followed by a colon and the first layer that produces the unit.
    """

    name: str
    channels: int
    consumers: tuple[str, ...]  # layers that read its channels and mix them, in execution order
    members: tuple[str, ...]  # every layer that touches it, in execution order
    blocks: int = 1  # consecutive blocks that keep equally many channels: groups of convolutions
    inputs: int | None = None  # input channels, if `channels` counts a layer's weights

    def first(self, count: int) -> np.ndarray:
        """Return the first ``count`` channels, equally many of each block, in ascending order."""
        blocks = np.arange(self.channels).reshape(self.blocks, -1)
        return blocks[:, : count // self.blocks].reshape(-1)


@dataclass(frozen=True)
class Parameter:
    """A parameter or buffer with prunable channels.

    Attributes:
        owners: (module, attribute) of each place where it is stored.
        axes: its dimensions.
        learnable: whether it is a parameter.
        counted: whether its layer's cost includes it.
        groups: of a grouped convolution's weight.
        reads: the input channels of such a weight, of all groups one after the other.
        power: (unit, its channels, exponent): the parameter is multiplied by the share of channels
            that the unit keeps, to this power, because attention divides by the root of the number
            of channels that it sums over; ``None`` if it is not rescaled.
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
        """Units whose channels it holds, in ascending order."""
        axes = (*self.axes, *([] if self.reads is None else [self.reads]))
        return tuple(sorted({unit for axis in axes for unit in axis.units}))


@dataclass(frozen=True)
class WidthAttribute:
    """A module with an attribute that must be set to the number of channels.

    Attributes:
        module: its name.
        axis: the channels that are counted.
        attribute: attribute of a user's module that holds their number; "" for torch's modules,
            such as norms, whose attributes are known.
    """

    module: str
    axis: Axis
    attribute: str = ""


@dataclass(frozen=True)
class Norm:
    """A norm that takes its statistics over channels.

    Attributes:
        module: name of the module that runs it.
        axis: the channels.
        dimension: of the module's input, with the channels, if the norm takes several operations,
            which are all that the module does; ``None`` if it is one operation of PyTorch.
    """

    module: str
    axis: Axis
    dimension: int | None


@dataclass(frozen=True)
class Constants:
    """The part of a network's cost that is outside its layers and that no decision changes."""

    macs: int = 0
    params: int = 0


@dataclass(frozen=True)
class Product:
    """A product outside of layers: of two feature maps, or with a weight that no layer holds.

    Attributes:
        name: of the weight, or of the module that computes it.
        outputs: the channels that it produces or sums over.
        inputs: channels that each of those is combined with, at ``macs`` each; ``None`` if none.
        macs: MACs of each combination.
    """

    name: str
    outputs: Axis
    inputs: Axis | None
    macs: int


@dataclass(frozen=True)
class Remap:
    """A ``ChannelMap`` of a traced network, with the units of its two sides."""

    name: str
    source: np.ndarray
    inputs: Axis
    outputs: Axis

    def slim(self, network: nn.Module, kept: tuple[np.ndarray, ...]) -> None:
        """Reduce the map to the kept channels, in place; outputs of pruned channels become zero.

        Args:
            network: a copy of the traced network that is being slimmed.
            kept: kept channels of each unit.
        """
        columns = self.inputs.kept(kept)
        position = np.full(len(self.inputs) + 1, NOWHERE)  # the last entry is for NOWHERE
        position[columns] = np.arange(len(columns))
        self._set(network, position[self.source[self.outputs.kept(kept)]], len(columns))

    def mask(self, network: nn.Module, kept: tuple[np.ndarray, ...]) -> None:
        """Make the map read no pruned channel, in place, without changing its size."""
        read = np.isin(self.source, self.inputs.kept(kept))
        self._set(network, np.where(read, self.source, NOWHERE), len(self.inputs))

    def _set(self, network: nn.Module, source: np.ndarray, inputs: int) -> None:
        module = network.get_submodule(self.name)
        assert isinstance(module, ChannelMap)
        module.source = torch.from_numpy(source).to(module.source.device)
        module.inputs = inputs


@dataclass(frozen=True)
class ChannelGraph:
    """The layers of a network in execution order, and the units that couple their channels."""

    layers: dict[str, Layer]
    units: tuple[Unit, ...]
    fixed: dict[str, str] = field(default_factory=dict)  # name of what cannot be pruned -> reason
    remaps: tuple[Remap, ...] = ()  # maps from one unit to another
    parameters: tuple[Parameter, ...] = ()  # all tensors with prunable channels
    width_attributes: tuple[WidthAttribute, ...] = ()
    constants: Constants = Constants()  # frozen
    products: tuple[Product, ...] = ()  # outside of layers
    multiplied: tuple[int, ...] = ()  # units that are summed over without a layer's weight
    norms: tuple[Norm, ...] = ()  # over channels of units

    @property
    def full(self) -> tuple[int, ...]:
        """Channel count of each unit in the uncompressed network."""
        return tuple(unit.channels for unit in self.units)

    def without(self, names: Iterable[str]) -> ChannelGraph:
        """Return the graph after the named layers were folded away."""
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
        attributes = tuple(each for each in self.width_attributes if each.module not in gone)
        return replace(
            self, layers=layers, units=units, parameters=parameters, width_attributes=attributes
        )
