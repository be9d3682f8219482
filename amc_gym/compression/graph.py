"""Units of decision: the groups of channels that can only be pruned together.

Torch-Pruning traces which channels of which layers are coupled.  From its dependency graph we
keep one thing per layer axis: to which unit, and to which channel of that unit, each position of
the axis belongs.  Those index maps are computed once; counting, masking and slimming a network
are then index selections, whatever the topology (a flattened feature map repeats each channel, a
concatenation joins several units, a depthwise convolution follows the unit it filters).
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from math import lcm

import numpy as np
import torch
import torch_pruning as tp
from torch import nn
from torch_pruning.ops import OPTYPE

from amc_gym.compression.remap import Boundary, ChannelMap, Remap

FIXED = -1
"""Unit index of a position that is never pruned: the network's input and output."""

# What may stand between two layers without holding weights of its own.
_WEIGHTLESS = {OPTYPE.ELEMENTWISE, OPTYPE.RESHAPE, OPTYPE.CONCAT, OPTYPE.SPLIT, OPTYPE.SLICE}


class GraphError(ValueError):
    """The network cannot be compressed; the message names the module and the reason."""


@dataclass(frozen=True)
class Axis:
    """One channel axis of a layer: ``unit[p]`` and ``channel[p]`` of each of its positions."""

    unit: np.ndarray
    channel: np.ndarray

    @classmethod
    def fixed(cls, size: int) -> Axis:
        """An axis of which nothing is pruned."""
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
    norm: str | None = None  # the batch norm that reads this layer's output and nothing else does


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


@dataclass(frozen=True)
class ChannelGraph:
    """The layers of a network in execution order and the units that couple their channels."""

    layers: dict[str, Layer]
    units: tuple[Unit, ...]
    fixed: dict[str, str] = field(default_factory=dict)  # what cannot be pruned -> why
    remaps: tuple[Remap, ...] = ()  # what carries channels from one unit to another

    @property
    def full(self) -> tuple[int, ...]:
        """Channel count of each unit in the uncompressed network."""
        return tuple(unit.channels for unit in self.units)

    def without(self, names: Iterable[str]) -> ChannelGraph:
        """The same graph after the named layers were folded away."""
        gone = set(names)
        layers = {n: layer for n, layer in self.layers.items() if n not in gone}
        units = tuple(
            replace(unit, members=tuple(m for m in unit.members if m not in gone))
            for unit in self.units
        )
        return replace(self, layers=layers, units=units)


def trace(model: nn.Module, example: torch.Tensor) -> ChannelGraph:
    """Trace ``model`` on ``example`` (1, C, H, W) and return its channel graph.

    Raises:
        GraphError: the model cannot be traced, or holds nothing that can be pruned.
    """
    model = copy.deepcopy(model).eval().requires_grad_(True)  # the tracer follows autograd
    shapes = _record_shapes(model, example)
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")  # Torch-Pruning announces what `fixed` lists below
        try:
            dependencies = tp.DependencyGraph().build_dependency(
                model, example, customized_pruners={ChannelMap: Boundary()}, verbose=False
            )
            groups = list(dependencies.get_all_groups())
        except Exception as error:
            raise GraphError(
                f"{type(model).__name__} cannot be traced by Torch-Pruning: {error}. "
                "Its forward must run on one image tensor and be built from traceable operations."
            ) from error

    names = {module: name for name, module in model.named_modules()}
    outputs: dict[str, Axis] = {}
    inputs: dict[str, Axis] = {}
    units: list[Unit] = []
    fixed: dict[str, str] = {}
    order = {name: position for position, name in enumerate(shapes)}
    found = []
    for group in groups:
        root = names[group[0].dep.target.module]
        reason = _reason_fixed(group, names)
        if reason is not None:
            fixed[root] = reason
            continue
        consumers = {names[item.dep.target.module] for item in group if _is_consumer(item)}
        members = {names[item.dep.target.module] for item in group if _has_weights(item)}
        found.append(
            (
                sorted(consumers, key=order.__getitem__),
                sorted(members, key=order.__getitem__),
                group,
            )
        )
    # Of units that one layer joins, the one that is produced first comes first.
    found.sort(key=lambda entry: (order[entry[0][0]], order[entry[1][0]]))
    firsts = Counter(consumers[0] for consumers, _, _ in found)

    for name in shapes:
        size_in, size_out = _axis_sizes(model.get_submodule(name))
        outputs[name] = Axis.fixed(size_out)
        inputs[name] = Axis.fixed(size_in)
    maps = {name: m for name, m in model.named_modules() if isinstance(m, ChannelMap)}
    for name, module in maps.items():
        inputs[name], outputs[name] = Axis.fixed(module.inputs), Axis.fixed(len(module.source))
    for index, (consumers, members, group) in enumerate(found):
        channels = len(group[0].idxs)
        blocks = lcm(*(_groups(item.dep.target.module) for item in group))
        name = consumers[0] if firsts[consumers[0]] == 1 else f"{consumers[0]}:{members[0]}"
        units.append(Unit(name, channels, tuple(consumers), tuple(members), blocks))
        for item in group:
            if not (_has_weights(item) or isinstance(item.dep.target.module, ChannelMap)):
                continue
            name = names[item.dep.target.module]
            axis = inputs[name] if _reads(item) else outputs[name]
            if max(item.idxs) >= len(axis):
                raise GraphError(
                    f"the tracer couples channel {max(item.idxs)} of {name!r}, which has "
                    f"{len(axis)}: it misreads a padded or sliced shortcut there."
                )
            axis.unit[item.idxs] = index  # before anything asks for axis.units
            axis.channel[item.idxs] = item.root_idxs
    if not units:
        reasons = "; ".join(f"{name}: {why}" for name, why in fixed.items()) or "no convolution"
        raise GraphError(f"{type(model).__name__} has no channels that can be pruned ({reasons}).")

    folds = _norms_that_fold(dependencies, names)
    layers = {
        name: _layer(name, model.get_submodule(name), outputs[name], inputs[name], shape, folds)
        for name, shape in shapes.items()
    }
    remaps = tuple(
        Remap(name, module.source.cpu().numpy(), inputs[name], outputs[name])
        for name, module in maps.items()
    )
    return ChannelGraph(layers, tuple(units), fixed, remaps)


def _record_shapes(
    model: nn.Module, example: torch.Tensor
) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Input and output shape of every convolution, linear layer and norm, in execution order."""
    shapes: dict[str, tuple[torch.Size, torch.Size]] = {}
    hooks = []
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.BatchNorm1d):
            continue

        def remember(_module, args, output, name=name):
            if name in shapes:
                raise GraphError(f"layer {name!r} is used twice in one forward pass.")
            shapes[name] = (args[0].shape, output.shape)

        hooks.append(module.register_forward_hook(remember))
    try:
        with torch.no_grad():
            model(example)
    except GraphError:
        raise
    except Exception as error:
        raise GraphError(
            f"{type(model).__name__} does not run on an input of shape "
            f"{tuple(example.shape)}: {error}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def _is_depthwise(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and module.groups > 1
        and module.groups == module.in_channels == module.out_channels
    )


def _groups(module: nn.Module) -> int:
    """Groups of a grouped convolution; 1 for everything else, depthwise convolutions too."""
    if isinstance(module, nn.Conv2d) and not _is_depthwise(module):
        return module.groups
    return 1


def _reads(item) -> bool:
    """Whether this member of a group reads the channels and has others at its output."""
    module = item.dep.target.module
    return (
        isinstance(module, nn.Conv2d | nn.Linear | ChannelMap)
        and not _is_depthwise(module)
        and item.dep.handler.__name__ == "prune_in_channels"
    )


def _is_consumer(item) -> bool:
    """Whether this member of a group reads the channels and mixes them into others."""
    return _reads(item) and _has_weights(item)


def _has_weights(item) -> bool:
    return isinstance(
        item.dep.target.module, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.BatchNorm1d
    )


def _reason_fixed(group, names: dict[nn.Module, str]) -> str | None:
    """Why a group is left alone, or ``None`` where it can be pruned."""
    for item in group:
        node = item.dep.target
        if node.type == OPTYPE.OUTPUT:
            return "the network's output"
        if _has_weights(item):
            module = node.module
            if _groups(module) > 1 and (
                len(item.idxs) != len(group[0].idxs) or list(item.idxs) != list(item.root_idxs)
            ):
                return f"grouped convolution {names[module]!r} reads a shuffled or joined map"
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) and not module.affine:
                return f"batch norm {names[module]!r} without affine weights is not supported"
        elif node.type not in _WEIGHTLESS and not isinstance(node.module, ChannelMap):
            where = names.get(node.module, node.name)
            return f"{type(node.module).__name__} {where!r} is not supported"
    if not any(_is_consumer(item) for item in group):
        return "the network's output"
    channels, blocks = len(group[0].idxs), lcm(*(_groups(i.dep.target.module) for i in group))
    if blocks >= channels or channels % blocks:
        return f"its convolutions have {blocks} groups for {channels} channels"
    return None


def _axis_sizes(module: nn.Module) -> tuple[int, int]:
    if isinstance(module, nn.Conv2d):
        return module.in_channels, module.out_channels
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    size = module.num_features  # type: ignore[union-attr]
    assert isinstance(size, int)
    return size, size


def _norms_that_fold(dependencies, names: dict[nn.Module, str]) -> dict[str, str]:
    """Convolution or linear layer -> the batch norm that is the only reader of its output."""
    folds = {}
    for module, node in dependencies.module2node.items():
        readers = node.outputs
        if (
            isinstance(module, nn.Conv2d | nn.Linear)
            and len(readers) == 1
            and isinstance(readers[0].module, nn.BatchNorm2d | nn.BatchNorm1d)
        ):
            folds[names[module]] = names[readers[0].module]
    return folds


def _layer(name, module, outputs: Axis, inputs: Axis, shape, folds: dict[str, str]) -> Layer:
    before, after = shape
    height, width = (before[2], before[3]) if len(before) == 4 else (1, 1)
    common = {"name": name, "outputs": outputs, "height": height, "width": width}
    if isinstance(module, nn.Conv2d):
        depthwise = _is_depthwise(module)
        return Layer(
            kind="depthwise" if depthwise else "conv",
            inputs=None if depthwise else inputs,
            weights=module.kernel_size[0] * module.kernel_size[1],
            biases=int(module.bias is not None),
            kernel=module.kernel_size[0],
            stride=module.stride[0],
            sites=after[2] * after[3],
            groups=_groups(module),
            norm=folds.get(name),
            **common,
        )
    if isinstance(module, nn.Linear):
        return Layer(
            kind="linear",
            inputs=inputs,
            weights=1,
            biases=int(module.bias is not None),
            kernel=1,
            stride=1,
            sites=int(np.prod(after[1:-1], dtype=int)),
            norm=folds.get(name),
            **common,
        )
    return Layer(
        kind="norm", inputs=None, weights=1, biases=1, kernel=1, stride=1, sites=0, **common
    )
