"""1 x 1 convolutions as matrix products, which need no setup for new shapes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from amc_gym.compression.graph import is_plain


class PointwiseConv(nn.Module):
    """A 1 x 1 convolution of stride 1 on channels-last images, as one matrix product.

    The convolution library generates code for every new pair of channel counts, and nearly every
    plan has new ones; a matrix product has no such overhead and is no slower.

    Args:
        conv: the convolution whose weight (O, I, 1, 1) and bias it takes over.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = conv.weight
        self.bias = conv.bias

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Convolve: (B, C, H, W), channels last, -> (B, C', H, W)."""
        pixels = images.permute(0, 2, 3, 1)  # a view, because channels are already last in memory
        return F.linear(pixels, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def with_pointwise(network: nn.Module) -> nn.Module:
    """Replace every plain 1 x 1 convolution of stride 1 by a matrix product, in place."""
    for name, module in list(network.named_modules()):
        if (
            type(module) is nn.Conv2d
            and is_plain(module)
            and module.kernel_size == module.stride == (1, 1)
            and module.groups == 1
            and not any(module._reversed_padding_repeated_twice)
        ):
            network.set_submodule(name, PointwiseConv(module))
    return network
