"""Networks that concatenate what they compute: dense, fire and split blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from amc_gym.zoo.models.mobilenet import ConvNormReLU
from amc_gym.zoo.small.families.family import Family, Sizes, register, repeated, widths


class Dense(nn.Module):
    """Convolutions that each read all outputs before them (DenseNet, Huang et al., 2017).

    Args:
        inputs: input channels.
        outputs: output channels, of a last 1 x 1 convolution.
        depth: number of convolutions.
    """

    def __init__(self, inputs: int, outputs: int, depth: int) -> None:
        super().__init__()
        growth = max(4, outputs // 3)
        read = [inputs + growth * i for i in range(depth + 1)]
        self.layers = nn.ModuleList(ConvNormReLU(width, growth, 3) for width in read[:-1])
        self.transition = ConvNormReLU(read[-1], outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block: (B, inputs, H, W) -> (B, outputs, H, W)."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return self.transition(x)


class Fire(nn.Module):
    """A narrow 1 x 1 convolution, read by a 1 x 1 and a 3 x 3 convolution (SqueezeNet, 2016).

    Args:
        inputs: input channels.
        outputs: output channels, half of them from each convolution.
        depth: number of such modules, one after the other.
    """

    def __init__(self, inputs: int, outputs: int, depth: int) -> None:
        super().__init__()
        squeezed, one = max(4, outputs // 3), outputs // 2
        read = [inputs, *[outputs] * (depth - 1)]
        self.squeezes = nn.ModuleList(ConvNormReLU(width, squeezed, 1) for width in read)
        self.ones = nn.ModuleList(ConvNormReLU(squeezed, one, 1) for _ in read)
        self.threes = nn.ModuleList(ConvNormReLU(squeezed, outputs - one, 3) for _ in read)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block: (B, inputs, H, W) -> (B, outputs, H, W)."""
        for squeeze, one, three in zip(self.squeezes, self.ones, self.threes, strict=True):
            x = squeeze(x)
            x = torch.cat([one(x), three(x)], 1)
        return x


class SplitBlock(nn.Module):
    """Two halves of channels, one with residual pairs, all concatenated (YOLO's C2f, 2023).

    Args:
        inputs: input channels.
        outputs: output channels.
        depth: number of pairs of 3 x 3 convolutions.
    """

    def __init__(self, inputs: int, outputs: int, depth: int) -> None:
        super().__init__()
        half = max(4, outputs // 2)
        self.enter = ConvNormReLU(inputs, 2 * half, 1)
        self.pairs = nn.ModuleList(
            nn.Sequential(ConvNormReLU(half, half, 3), ConvNormReLU(half, half, 3))
            for _ in range(depth)
        )
        self.leave = ConvNormReLU((2 + depth) * half, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block: (B, inputs, H, W) -> (B, outputs, H, W)."""
        parts = list(self.enter(x).chunk(2, 1))
        for pair in self.pairs:
            parts.append(parts[-1] + pair(parts[-1]))
        return self.leave(torch.cat(parts, 1))


BLOCKS: dict[str, type[Dense | Fire | SplitBlock]] = {
    "dense": Dense,
    "fire": Fire,
    "split": SplitBlock,
}


class Concatenating(nn.Module):
    """A 3 x 3 convolution, one block in each stage, max pooling in between, and a linear layer.

    Maps images ``(N, in_channels, H, W)`` to logits ``(N, num_classes)``.

    Args:
        in_channels: channels of the images.
        num_classes: length of the logits.
        block: "dense", "fire" or "split".
        stem: outputs of the first convolution.
        channels: outputs of each stage.
        depths: depth of each stage's block.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        block: str,
        stem: int,
        channels: Sequence[int],
        depths: Sequence[int],
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNormReLU(in_channels, stem, 3)]
        inputs = stem
        for stage, (width, depth) in enumerate(zip(channels, depths, strict=True)):
            if stage:
                layers.append(nn.MaxPool2d(2))
            layers.append(BLOCKS[block](inputs, width, depth))
            inputs = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: images (N, in_channels, H, W) -> logits (N, num_classes)."""
        return self.classifier(self.flatten(self.pool(self.features(x))))


def draw(random: np.random.RandomState, stages: int) -> Sizes:
    """Draw one kind of block for the whole network, and a depth of 1 to 3 in each stage."""
    stem, *channels = widths(random, stages + 1, 12, 20)
    return {
        "block": str(random.choice(list(BLOCKS))),
        "stem": stem,
        "channels": channels,
        "depths": repeated(random, stages, 3),
    }


register(Family("concatenating", Concatenating, draw))
