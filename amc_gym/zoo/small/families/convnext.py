"""ConvNeXt-like networks (Liu et al., 2022): large depthwise kernels, layer norms, wide layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from amc_gym.zoo.small.families.family import Family, Sizes, register, repeated, widths


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each position, for (B, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W) over C."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    """A residual block: depthwise convolution, layer norm, and two linear layers with GELU.

    Args:
        channels: of input and output.
        hidden: channels between the linear layers.
        kernel: side of the depthwise kernel.
    """

    def __init__(self, channels: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, hidden)
        self.gelu = nn.GELU()
        self.narrow = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block: (B, channels, H, W) -> the same shape."""
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.narrow(self.gelu(self.widen(y))).permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """Patches of 2 x 2, and stages of blocks with convolutions of stride 2 in between.

    Maps images ``(N, in_channels, H, W)`` to logits ``(N, num_classes)``.

    Args:
        in_channels: channels of the images.
        num_classes: length of the logits.
        channels: width of each stage's stream.
        depths: number of blocks in each stage.
        expansion: width of each stage's hidden layers, relative to its stream.
        kernel: side of the depthwise kernels.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        channels: Sequence[int],
        depths: Sequence[int],
        expansion: Sequence[int],
        kernel: int,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = in_channels
        for stage, (width, depth) in enumerate(zip(channels, depths, strict=True)):
            if stage:
                layers.append(ChannelNorm(inputs))
            layers.append(nn.Conv2d(inputs, width, 2, 2))
            hidden = width * expansion[stage]
            layers += [ConvNextBlock(width, hidden, kernel) for _ in range(depth)]
            inputs = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.norm = nn.LayerNorm(inputs)
        self.classifier = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: images (N, in_channels, H, W) -> logits (N, num_classes)."""
        return self.classifier(self.norm(self.flatten(self.pool(self.features(x)))))


def draw(random: np.random.RandomState, stages: int) -> Sizes:
    """Draw one to three blocks in each stage; one stage fewer, as patches halve the image."""
    channels = widths(random, stages - 1, 16, 28)
    return {
        "channels": channels,
        "depths": repeated(random, stages - 1, 3),
        "expansion": random.randint(2, 5, stages - 1).tolist(),
        "kernel": int(random.choice([3, 5, 7])),
    }


register(
    Family(
        "convnext",
        ConvNext,
        draw,
        recipe={"optimizer": "adamw", "learning_rate": 4e-3, "weight_decay": 0.05},
    )
)
