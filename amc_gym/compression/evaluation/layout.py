"""The fastest memory layout in which a network runs."""

from __future__ import annotations

import copy

import torch
from torch import nn

from amc_gym._utils.nests import Nest, called, leaves, mapped


def fastest_layout(network: nn.Module, images: Nest) -> torch.memory_format:
    """Return channels last for networks on images that run so, channels first for all others.

    ``x.view(n, -1)`` in a forward pass, for example, needs the layout that it was written for.

    Args:
        network: tried on a copy in eval mode.
        images: inputs of one or a few samples, on its device.
    """
    if not any(tensor.dim() == 4 for tensor in leaves(images)):
        return torch.contiguous_format
    try:
        tried = copy.deepcopy(network).eval().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        with torch.inference_mode():
            called(tried, laid_out(images, torch.channels_last))
    except RuntimeError:
        return torch.contiguous_format
    return torch.channels_last


def laid_out(inputs: Nest, layout: torch.memory_format) -> Nest:
    """Return the inputs with all (N, C, H, W) tensors in a memory layout."""
    return mapped(lambda t: t.contiguous(memory_format=layout) if t.dim() == 4 else t, inputs)
