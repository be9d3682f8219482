"""The physically smaller network of a plan, made by index selection with the maps of the graph."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from amc_gym._utils.grad_mode import ordinary, recorded
from amc_gym.compression.graph import ChannelGraph, GraphError, Parameter
from amc_gym.compression.masked_norms import MaskedNorms, Narrowed
from amc_gym.compression.narrow_attention import narrow

WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)
"""Modules that mix channels by a ``weight``."""

BATCH_NORM = nn.modules.batchnorm._NormBase

Kept = tuple[np.ndarray, ...]
"""Kept channel indices of each unit, in the order in which the slim network has them."""


def select(tensor: Tensor, parameter: Parameter, kept: Kept) -> Tensor:
    """Return the kept part of a parameter or buffer."""
    if parameter.reads is not None:
        columns = torch.from_numpy(parameter.reads.kept(kept))
        rows = torch.from_numpy(parameter.axes[0].kept(kept))
        width = len(parameter.reads) // parameter.groups
        per_group = columns.div(width, rounding_mode="floor").bincount(minlength=parameter.groups)
        if len(per_group.unique()) > 1 or len(rows) % parameter.groups:
            name = ".".join(parameter.owners[0])
            raise GraphError(f"the groups of {name!r} would keep different channel counts")
        return with_inputs(tensor, columns, parameter.groups)[rows.to(tensor.device)]
    for dimension, axis in enumerate(parameter.axes):
        if axis.units:
            chosen = torch.from_numpy(axis.kept(kept)).to(tensor.device)
            tensor = tensor.index_select(dimension, chosen)
    return rescaled(tensor, parameter, [len(channels) for channels in kept])


def rescaled(tensor: Tensor, parameter: Parameter, counts: Sequence[int]) -> Tensor:
    """Rescale a slim parameter so that products of feature maps keep their original scale."""
    if parameter.power is None:
        return tensor
    unit, channels, power = parameter.power
    return tensor * (counts[unit] / channels) ** power


def with_inputs(weight: Tensor, columns: Tensor, groups: int = 1) -> Tensor:
    """Return a weight (O, I / groups, ...) that reads only the input positions ``columns``.

    Each group must keep equally many of its inputs, which are in the order of the groups.
    """
    columns = columns.to(weight.device)
    if groups == 1:
        return weight[:, columns]
    mine = columns.reshape(groups, -1) % weight.shape[1]  # positions within each group
    rows = torch.arange(len(weight), device=weight.device)
    return weight[rows[:, None], mine[rows // (len(weight) // groups)]]


def oriented(module: nn.Module) -> Tensor:
    """Return a layer's weight as (outputs, inputs / groups, ...), however it is stored."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    turned = isinstance(module, nn.modules.conv._ConvNd) and module.transposed
    return weight.detach().transpose(0, 1) if turned else weight.detach()


@recorded
def slim(
    model: nn.Module,
    graph: ChannelGraph,
    kept: Kept,
    weights: Mapping[str, Tensor] | None = None,
) -> nn.Module:
    """Return a new, smaller module that computes what ``model`` does without its pruned channels.

    Args:
        model: the original; not changed.
        graph: its channel graph.
        kept: kept channels of each unit.
        weights: re-fitted weights that replace the selected ones, by layer name.
    """
    small = copy.deepcopy(model)
    weights = weights or {}
    for parameter in graph.parameters:
        module, name = parameter.owners[0]
        old = getattr(small.get_submodule(module), name)
        new = weights.get(module) if name == "weight" else None
        if new is None:
            new = select(old.detach(), parameter, kept)
        else:
            new = rescaled(new, parameter, [len(channels) for channels in kept])
        new = ordinary(new.to(device=old.device, dtype=old.dtype).contiguous())
        if isinstance(old, nn.Parameter):
            new = nn.Parameter(new, requires_grad=old.requires_grad)
        for module, name in parameter.owners:
            setattr(small.get_submodule(module), name, new)
    for name in weights.keys() - {p.owners[0][0] for p in graph.parameters}:
        raise GraphError(f"layer {name!r} has no prunable channels: its weight cannot be replaced")
    for module in small.modules():
        if isinstance(module, WEIGHTED):
            describe(module, _outputs_per_input(module))
    for each in graph.width_attributes:
        set_width(small.get_submodule(each.module), len(each.axis.kept(kept)), each.attribute)
    for remap in graph.remaps:
        remap.slim(small, kept)
    return small


def describe(module: nn.Module, per_input: int = 0) -> None:
    """Set a convolution's or linear layer's size attributes from its weight, in place.

    Args:
        module: the layer; other modules stay unchanged.
        per_input: outputs for each input of a depthwise convolution; 0 for other layers.
    """
    # Written into the dictionary, because searches do this for each plan and torch's checks are
    # slow.
    attributes = vars(module)
    if isinstance(module, nn.Linear):
        attributes["out_features"], attributes["in_features"] = module.weight.shape
    elif isinstance(module, nn.modules.conv._ConvNd):
        one, other, *_ = module.weight.shape
        if per_input:
            attributes["groups"] = one // (1 if module.transposed else per_input)
        names = ("in_channels", "out_channels")
        here, there = names if module.transposed else names[::-1]
        attributes[here], attributes[there] = one, other * attributes["groups"]


def _outputs_per_input(module: nn.Module) -> int:
    """Return the outputs for each input of a depthwise convolution; 0 for other layers."""
    if not isinstance(module, nn.modules.conv._ConvNd):
        return 0
    depthwise = 1 < module.groups == module.in_channels
    return module.out_channels // module.in_channels if depthwise else 0


def set_width(module: nn.Module, channels: int, attribute: str = "") -> None:
    """Set the number of channels that a module stores, in place.

    Args:
        module: one of torch's norms, activations or attentions, or any other module.
        channels: the number.
        attribute: attribute of a module that is not torch's, which holds the number or a tuple with
            it: "width" or "shape[0]".
    """
    if attribute:
        name, _, place = attribute.partition("[")
        attributes = vars(module)
        if place:
            values = list(attributes[name])
            values[int(place[:-1])] = channels
            channels = type(attributes[name])(values)
        attributes[name] = channels
    elif isinstance(module, BATCH_NORM):
        module.num_features = channels
    elif isinstance(module, nn.PReLU):
        module.num_parameters = module.weight.numel()  # one for all channels, or one for each
    elif isinstance(module, nn.GroupNorm):  # pruned only if each channel is a group
        module.num_groups = module.num_channels = channels
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
        module.normalized_shape = (channels,)
    elif isinstance(module, nn.MultiheadAttention):
        narrow(module, channels)


def mask(model: nn.Module, graph: ChannelGraph, kept: Kept) -> nn.Module:
    """Return a full-size copy in which no layer reads a pruned channel, to check slimming against.

    Products of feature maps also read channels, and have no weights that could be set to zero; the
    channels that they sum over are zeroed where they are produced.  Norms over channels take their
    statistics over the kept ones.
    """
    masked = copy.deepcopy(model)
    free = {product.name for product in graph.products}
    for parameter in graph.parameters:
        if ".".join(parameter.owners[0]).lstrip(".") in free:
            _set_to_zero(masked, parameter, parameter.units, kept)
        elif parameter.learnable:
            _set_to_zero(masked, parameter, graph.multiplied, kept)
    for layer in graph.layers.values():
        if layer.inputs is None or not layer.inputs.units:
            continue
        keep = torch.zeros(len(layer.inputs), dtype=torch.bool)
        keep[torch.from_numpy(layer.inputs.kept(kept))] = True
        module = masked.get_submodule(layer.name)
        if "weight" not in module._parameters:  # computed from others
            module.register_forward_pre_hook(_Masked(keep, layer.kind))
            continue
        weight = module.weight
        assert isinstance(weight, Tensor)
        with torch.no_grad():
            if isinstance(module, nn.modules.conv._ConvNd) and module.transposed:
                weight[~keep] = 0
            else:
                per_group = len(weight) // layer.groups
                read = keep.reshape(layer.groups, -1).repeat_interleave(per_group, 0)
                weight[~read] = 0
    for remap in graph.remaps:
        remap.mask(masked, kept)
    if norms := _masked_norms(masked, graph, kept):
        MaskedNorms(norms).watch(masked)
    in_steps = {
        norm.module: (norm.dimension, norm.axis)
        for norm in graph.norms
        if norm.dimension is not None
    }
    small = slim(model, graph, kept) if in_steps else model
    for name, (dimension, axis) in in_steps.items():
        positions = torch.from_numpy(axis.kept(kept))
        narrowed = Narrowed(small.get_submodule(name), dimension, positions)
        masked.get_submodule(name).register_forward_hook(narrowed)
    return masked


def _masked_norms(
    network: nn.Module, graph: ChannelGraph, kept: Kept
) -> list[tuple[Tensor, Tensor]]:
    """Return the positions that layer norms keep, for ``MaskedNorms``."""
    found = []
    for parameter in graph.parameters:
        module, name = parameter.owners[0]
        owner = network.get_submodule(module)
        if len(parameter.axes) == 1 and not isinstance(owner, BATCH_NORM):
            positions = torch.from_numpy(parameter.axes[0].kept(kept)).sort().values
            found.append((getattr(owner, name), positions))
    return found


def _set_to_zero(
    network: nn.Module, parameter: Parameter, units: Sequence[int], kept: Kept
) -> None:
    """Set the pruned channels of some units to zero in a parameter, in place."""
    module, name = parameter.owners[0]
    tensor = getattr(network.get_submodule(module), name)
    for dimension, axis in enumerate(parameter.axes):
        gone = np.isin(axis.unit, units)
        gone[axis.kept(kept)] = False
        with torch.no_grad():
            tensor.index_fill_(dimension, torch.from_numpy(np.flatnonzero(gone)), 0)


class _Masked:
    """A forward pre-hook of a layer that zeroes pruned channels."""

    def __init__(self, keep: Tensor, kind: str) -> None:
        self._keep, self._kind = keep, kind

    def __call__(self, _module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        shape = [-1] if self._kind == "linear" else [-1] + [1] * (args[0].dim() - 2)
        return (args[0] * self._keep.to(args[0]).reshape(shape), *args[1:])
