"""Tensors that a network holds under several names, such as an embedding that is also a last layer.

A file of safetensors has each of them once; the network that reads it says which belong together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from torch import Tensor, nn


def tied(network: nn.Module) -> dict[str, str]:
    """Return all names but the first of each parameter or buffer, with that first name."""
    parameters = network.named_parameters(remove_duplicate=False)
    buffers = network.named_buffers(remove_duplicate=False)
    firsts: dict[int, str] = {}
    names = [
        (name, firsts.setdefault(id(tensor), name)) for name, tensor in (*parameters, *buffers)
    ]
    return {name: first for name, first in names if name != first}


def distinct(network: nn.Module, names: Iterable[str] = ()) -> dict[str, Tensor]:
    """Return a network's ``state_dict`` with each tensor once, and in memory of its own.

    Args:
        network: the network.
        names: names of further buffers, which it does not save by itself.
    """
    others = tied(network)
    state = network.state_dict()
    buffers = dict(network.named_buffers())
    state |= {name: buffers[name] for name in names if name in buffers and name not in state}
    state = {key: tensor for key, tensor in state.items() if key not in others}
    users = Counter(tensor.untyped_storage().data_ptr() for tensor in state.values())
    return {
        key: tensor.clone() if users[tensor.untyped_storage().data_ptr()] > 1 else tensor
        for key, tensor in state.items()
    }


def complete(network: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what ``distinct`` gave, for a network alike, with each tensor under all its names."""
    missing = {
        name: tensors[first]
        for name, first in tied(network).items()
        if first in tensors and name not in tensors
    }
    return {**tensors, **missing}
