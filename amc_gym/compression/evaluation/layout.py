"""The order in memory in which a network runs fastest, where it runs in it at all."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def fastest_layout(network: nn.Module, images: Tensor) -> torch.memory_format:
    """Channels last for networks on images that run so, channels first for all others.

    ``x.view(n, -1)`` in a forward pass, for instance, needs the order that it was written for.

    Args:
        network: tried on a copy in eval mode.
        images: one or a few, (N, C, H, W), on its device.
    """
    if images.dim() != 4:
        return torch.contiguous_format
    try:
        tried = copy.deepcopy(network).eval().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        with torch.inference_mode():
            tried(images.contiguous(memory_format=torch.channels_last))
    except RuntimeError:
        return torch.contiguous_format
    return torch.channels_last
