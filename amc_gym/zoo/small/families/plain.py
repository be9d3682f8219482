"""Plain networks: 3 x 3 and 5 x 5 convolutions one after the other, each of its own width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from amc_gym.zoo.models.mobilenet import ConvNormReLU
from amc_gym.zoo.small.families.family import Family, Sizes, register, repeated, widths


class Plain(nn.Module):
    """Convolutions with batch norm, strides instead of pooling, and one linear layer.

    Maps images ``(N, in_channels, H, W)`` to logits ``(N, num_classes)``.

    Args:
        in_channels: channels of the images.
        num_classes: length of the logits.
        channels: outputs of each convolution.
        kernels: side of each kernel.
        strides: stride of each convolution.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        channels: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
    ) -> None:
        super().__init__()
        inputs = [in_channels, *channels[:-1]]
        self.features = nn.Sequential(*map(ConvNormReLU, inputs, channels, kernels, strides))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(channels[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: images (N, in_channels, H, W) -> logits (N, num_classes)."""
        return self.classifier(self.flatten(self.pool(self.features(x))))


def draw(random: np.random.RandomState, stages: int) -> Sizes:
    """Draw one to three convolutions per stage; each stage but the first halves the map."""
    channels: list[int] = []
    strides: list[int] = []
    depths = repeated(random, stages, 3)
    for stage, (depth, width) in enumerate(zip(depths, widths(random, stages, 8, 20), strict=True)):
        channels += [max(4, int(width * random.uniform(0.7, 1.3))) for _ in range(depth)]
        strides += [2 if stage else 1, *[1] * (depth - 1)]
    kernels = random.choice([3, 3, 3, 5], len(channels)).tolist()
    return {"channels": channels, "kernels": kernels, "strides": strides}


register(Family("plain", Plain, draw))
