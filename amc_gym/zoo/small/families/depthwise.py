"""Depthwise separable networks, such as MobileNet-V1 (Howard et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from amc_gym.zoo.models.mobilenet import ConvNormReLU
from amc_gym.zoo.small.families.family import Family, Sizes, register, repeated, widths


class Depthwise(nn.Module):
    """A 3 x 3 convolution, then pairs of a depthwise and a 1 x 1 convolution.

    Maps images ``(N, in_channels, H, W)`` to logits ``(N, num_classes)``.

    Args:
        in_channels: channels of the images.
        num_classes: length of the logits.
        stem: outputs of the first convolution.
        channels: outputs of each pair.
        kernels: side of each depthwise kernel.
        strides: stride of each depthwise convolution.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        stem: int,
        channels: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNormReLU(in_channels, stem, 3)]
        inputs = stem
        for outputs, kernel, stride in zip(channels, kernels, strides, strict=True):
            layers.append(ConvNormReLU(inputs, inputs, kernel, stride, groups=inputs))
            layers.append(ConvNormReLU(inputs, outputs, 1))
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: images (N, in_channels, H, W) -> logits (N, num_classes)."""
        return self.classifier(self.flatten(self.pool(self.features(x))))


def draw(random: np.random.RandomState, stages: int) -> Sizes:
    """Draw one to four pairs in each stage."""
    channels: list[int] = []
    strides: list[int] = []
    first, *rest = widths(random, stages + 1, 10, 20)
    for stage, (depth, width) in enumerate(zip(repeated(random, stages, 4), rest, strict=True)):
        channels += [max(8, int(width * random.uniform(0.8, 1.3))) for _ in range(depth)]
        strides += [2 if stage else 1, *[1] * (depth - 1)]
    kernels = random.choice([3, 3, 5], len(channels)).tolist()
    return {"stem": first, "channels": channels, "kernels": kernels, "strides": strides}


register(Family("depthwise", Depthwise, draw))
