"""VGG-like networks (Simonyan and Zisserman, 2015): pooling, and two linear layers at the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from amc_gym.zoo.models.mobilenet import ConvNormReLU
from amc_gym.zoo.small.families.family import Family, Sizes, register, repeated, widths


class Vgg(nn.Module):
    """Stages of 3 x 3 convolutions of one width, with max pooling after all but the last.

    Maps images ``(N, in_channels, H, W)`` to logits ``(N, num_classes)``.

    Args:
        in_channels: channels of the images.
        num_classes: length of the logits.
        channels: width of each stage.
        depths: number of convolutions in each stage.
        side: of the flattened feature map, to which the last one is averaged.
        hidden: width of the first linear layer.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        channels: Sequence[int],
        depths: Sequence[int],
        side: int,
        hidden: int,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = in_channels
        for width, depth in zip(channels, depths, strict=True):
            if layers:
                layers.append(nn.MaxPool2d(2))
            for _ in range(depth):
                layers.append(ConvNormReLU(inputs, width, kernel=3))
                inputs = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(side)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(
            nn.Linear(inputs * side * side, hidden), nn.ReLU(), nn.Linear(hidden, num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: images (N, in_channels, H, W) -> logits (N, num_classes)."""
        return self.classifier(self.flatten(self.pool(self.features(x))))


def draw(random: np.random.RandomState, stages: int) -> Sizes:
    """Draw one to three convolutions in each stage."""
    return {
        "channels": widths(random, stages, 8, 18),
        "depths": repeated(random, stages, 3),
        "side": int(random.choice([2, 3])),
        "hidden": int(random.choice([24, 32, 48, 64])),
    }


register(Family("vgg", Vgg, draw))
