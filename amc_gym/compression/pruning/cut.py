"""The cut of a plan: what it drops, which may happen at once or long after it was decided."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.slim import Kept, select, slim

Entries = Mapping[tuple[str, str], Tensor]
"""(module, attribute) of a parameter -> selected entries, a bool tensor of its shape."""


@dataclass(frozen=True)
class Cut:
    """Channels or weights that a plan drops from a network, and the function that drops them.

    Attributes:
        dropped: entries of parameters that the compressed network no longer has.
        make: takes the network, possibly with other weights, and returns a new one without them.
    """

    dropped: Entries
    make: Callable[[nn.Module], nn.Module]


def channel_cut(model: nn.Module, graph: ChannelGraph, kept: Kept) -> Cut:
    """Return the cut that keeps the given channels of each unit.

    It drops everything that ``slim`` leaves out: a channel's kernel and bias, scale and offset of
    its norm, and the weights that read it.

    Args:
        model: the network; not changed.
        graph: its channel graph.
        kept: kept channels of each unit.
    """
    dropped: dict[tuple[str, str], Tensor] = {}
    for parameter in graph.parameters:
        if not parameter.learnable:
            continue
        module, name = owner = parameter.owners[0]
        shape = getattr(model.get_submodule(module), name).shape
        positions = torch.arange(shape.numel()).reshape(shape)
        gone = torch.ones(shape.numel(), dtype=torch.bool)
        gone[select(positions, replace(parameter, power=None), kept)] = False
        if gone.any():
            dropped[owner] = gone.reshape(shape)
    return Cut(dropped, lambda network: slim(network, graph, kept))


def weight_cut(dropped: Entries) -> Cut:
    """Return the cut that sets single weights to zero."""

    def make(network: nn.Module) -> nn.Module:
        network = copy.deepcopy(network)
        for (module, name), entries in dropped.items():
            tensor = getattr(network.get_submodule(module), name)
            tensor.data.masked_fill_(entries.to(tensor.device), 0)
        return network

    return Cut(dropped, make)
