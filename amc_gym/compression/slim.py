"""The physically smaller network of a plan, by index selections on the maps of the graph."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from amc_gym.compression.graph import ChannelGraph, GraphError, Layer, Unit

Kept = tuple[np.ndarray, ...]
"""Kept channel indices of each unit, in the order in which the slim network has them."""


def select(module: nn.Module, layer: Layer, kept: Kept) -> dict[str, torch.Tensor]:
    """The tensors of a layer that stay: parameters and running statistics, by name."""
    rows = torch.from_numpy(layer.outputs.kept(kept))
    tensors = {
        name: tensor.detach()[rows]
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
        if tensor.dim() > 0  # all but the batch counter of norms
    }
    if layer.inputs is not None:
        columns = torch.from_numpy(layer.inputs.kept(kept))
        per_group = columns.div(len(layer.inputs) // layer.groups, rounding_mode="floor").bincount()
        if len(per_group.unique()) > 1 or len(rows) % layer.groups:
            raise GraphError(f"the groups of {layer.name!r} would keep different channel counts")
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        tensors["weight"] = with_inputs(weight.detach(), columns, layer.groups)[rows]
    return tensors


def with_inputs(weight: torch.Tensor, columns: torch.Tensor, groups: int = 1) -> torch.Tensor:
    """A weight (O, I / groups, ...) that reads only the input positions ``columns``.

    Each group must keep equally many of its inputs, and they lie in the order of the groups.
    """
    if groups == 1:
        return weight[:, columns]
    mine = columns.reshape(groups, -1) % weight.shape[1]  # positions within each group
    rows = torch.arange(len(weight))
    return weight[rows[:, None], mine[rows // (len(weight) // groups)]]


def slim(
    model: nn.Module,
    graph: ChannelGraph,
    kept: Kept,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> nn.Module:
    """A new, smaller module that computes what ``model`` computes without its pruned channels.

    Args:
        model: the original; not changed.
        graph: its channel graph.
        kept: kept channels of each unit.
        weights: re-fitted weights that take the place of the selected ones, by layer name.
    """
    small = copy.deepcopy(model)
    for layer in graph.layers.values():
        module = small.get_submodule(layer.name)
        tensors = select(module, layer, kept)
        if weights is not None and layer.name in weights:
            tensors["weight"] = weights[layer.name]
        _resize(module, layer, tensors)
    for remap in graph.remaps:
        remap.slim(small, kept)
    return small


def _resize(module: nn.Module, layer: Layer, tensors: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        old = getattr(module, name)
        value = tensor.to(device=old.device, dtype=old.dtype).contiguous()
        if isinstance(old, nn.Parameter):
            value = nn.Parameter(value, requires_grad=old.requires_grad)
        setattr(module, name, value)
    shape = tensors["weight"].shape
    if isinstance(module, nn.Conv2d):
        module.groups = shape[0] if layer.kind == "depthwise" else layer.groups
        module.out_channels, module.in_channels = shape[0], shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = shape
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        module.num_features = shape[0]


def mask(model: nn.Module, graph: ChannelGraph, kept: Kept) -> nn.Module:
    """A copy of full size in which no layer reads a pruned channel: what slimming must equal."""
    masked = copy.deepcopy(model)
    for layer in graph.layers.values():
        if layer.inputs is None:
            continue
        keep = torch.zeros(len(layer.inputs), dtype=torch.bool)
        keep[torch.from_numpy(layer.inputs.kept(kept))] = True
        weight = masked.get_submodule(layer.name).weight
        assert isinstance(weight, torch.Tensor)
        read = keep.reshape(layer.groups, -1).repeat_interleave(len(weight) // layer.groups, 0)
        with torch.no_grad():
            weight[~read] = 0
    for remap in graph.remaps:
        remap.mask(masked, kept)
    return masked


def verify(model: nn.Module, graph: ChannelGraph, example: torch.Tensor) -> None:
    """Assert that slim and masked network agree on ``example``, in float64.

    Tracing libraries can couple the wrong channels and still return a network that runs; this
    check makes that an error instead of a wrong result.

    Raises:
        GraphError: they disagree, or the slim network does not run.
    """
    # A random half of each unit: a pattern could be blind to channels coupled at an offset.
    rng = np.random.default_rng(0)
    kept = tuple(_random_half(unit, rng) for unit in graph.units)
    model = copy.deepcopy(model).double()
    with torch.no_grad():
        expected = mask(model, graph, kept)(example.double())
        try:
            actual = slim(model, graph, kept)(example.double())
        except RuntimeError as error:
            raise GraphError(
                f"the slim {type(model).__name__} does not run ({error}); "
                "does its forward pass hard-code a channel count?"
            ) from error
    scale = float(expected.abs().max()) or 1.0
    if actual.shape != expected.shape or float((actual - expected).abs().max()) > 1e-9 * scale:
        raise GraphError(
            f"slimming {type(model).__name__} changes what it computes: its channels are coupled "
            "in a way that the tracer does not see (padded or sliced shortcuts, for example)."
        )


def _random_half(unit: Unit, rng: np.random.Generator) -> np.ndarray:
    """Half of the channels of each of the unit's blocks, rounded up, in random order."""
    blocks = np.arange(unit.channels).reshape(unit.blocks, -1)
    half = -(-blocks.shape[1] // 2)
    chosen = rng.permuted(blocks, axis=1)[:, :half].reshape(-1)
    return chosen if unit.blocks == 1 else np.sort(chosen)
