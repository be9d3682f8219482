"""Residual networks (He et al., 2016), of basic blocks or of bottlenecks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from amc_gym.zoo.models.mobilenet import ConvNormReLU
from amc_gym.zoo.small.families.family import Family, Sizes, register, repeated, widths


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, or one between two 1 x 1 convolutions, with a shortcut.

    Args:
        inputs: input channels.
        outputs: output channels.
        stride: of the first 3 x 3 convolution.
        inner: channels between the convolutions.
        bottleneck: whether 1 x 1 convolutions surround one of 3 x 3.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, inner: int, bottleneck: bool
    ) -> None:
        super().__init__()
        if bottleneck:
            before = [ConvNormReLU(inputs, inner, 1), ConvNormReLU(inner, inner, 3, stride)]
        else:
            before = [ConvNormReLU(inputs, inner, 3, stride)]
        last = 1 if bottleneck else 3
        self.body = nn.Sequential(
            *before,
            nn.Conv2d(inner, outputs, last, padding=last // 2, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Run the block: (B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        return self.relu(self.body(x) + self.shortcut(x))


class Residual(nn.Module):
    """A 3 x 3 convolution, stages of residual blocks, and one linear layer.

    Maps images ``(N, in_channels, H, W)`` to logits ``(N, num_classes)``.

    Args:
        in_channels: channels of the images.
        num_classes: length of the logits.
        channels: width of each stage's stream.
        depths: number of blocks in each stage.
        inner: channels inside the blocks of each stage.
        bottleneck: kind of the blocks, see ``ResidualBlock``.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        channels: Sequence[int],
        depths: Sequence[int],
        inner: Sequence[int],
        bottleneck: bool,
    ) -> None:
        super().__init__()
        self.stem = ConvNormReLU(in_channels, channels[0], 3)
        blocks: list[nn.Module] = []
        inputs = channels[0]
        for stage, (width, depth) in enumerate(zip(channels, depths, strict=True)):
            for block in range(depth):
                stride = 2 if stage and not block else 1
                blocks.append(ResidualBlock(inputs, width, stride, inner[stage], bottleneck))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: images (N, in_channels, H, W) -> logits (N, num_classes)."""
        return self.classifier(self.flatten(self.pool(self.blocks(self.stem(x)))))


def draw(random: np.random.RandomState, stages: int) -> Sizes:
    """Draw one to three blocks in each stage; bottlenecks have wide streams, narrow insides."""
    bottleneck = bool(random.randint(2))
    channels = widths(random, stages, *((20, 36) if bottleneck else (8, 16)))
    share = (0.3, 0.6) if bottleneck else (0.8, 1.5)
    return {
        "channels": channels,
        "depths": repeated(random, stages, 3),
        "inner": [max(6, int(width * random.uniform(*share))) for width in channels],
        "bottleneck": bottleneck,
    }


register(Family("residual", Residual, draw))
