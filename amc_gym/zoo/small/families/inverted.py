"""Inverted residuals with squeeze-and-excitation, as in MobileNetV3 and EfficientNet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from amc_gym.zoo.small.families.family import Family, Sizes, register, repeated, widths


class SqueezeExcitation(nn.Module):
    """Scaling of channels by a function of all their means (Hu et al., 2018)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.down = nn.Conv2d(channels, squeezed, 1)
        self.relu = nn.ReLU()
        self.up = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels: (B, channels, H, W) -> the same shape."""
        return x * self.gate(self.up(self.relu(self.down(self.squeeze(x)))))


class InvertedBlock(nn.Module):
    """A 1 x 1 convolution that widens, a depthwise one, squeeze-and-excitation, one that narrows.

    The input is added to the output if their shapes agree.

    Args:
        inputs: input channels.
        outputs: output channels.
        hidden: channels between the 1 x 1 convolutions.
        kernel: side of the depthwise kernel.
        stride: of the depthwise convolution.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.Hardswish(),
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.Hardswish(),
            SqueezeExcitation(hidden, max(4, hidden // 4)),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Run the block: (B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        return x + self.body(x) if self.residual else self.body(x)


class Inverted(nn.Module):
    """A 3 x 3 convolution, stages of inverted residuals, a wide 1 x 1 convolution, a linear layer.

    Maps images ``(N, in_channels, H, W)`` to logits ``(N, num_classes)``.

    Args:
        in_channels: channels of the images.
        num_classes: length of the logits.
        channels: width of each stage's stream.
        depths: number of blocks in each stage.
        expansion: width of each stage's hidden channels, relative to its stream.
        kernels: side of each stage's depthwise kernels.
        head: outputs of the last convolution.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        channels: Sequence[int],
        depths: Sequence[int],
        expansion: Sequence[int],
        kernels: Sequence[int],
        head: int,
    ) -> None:
        super().__init__()
        self.stem = _wide(in_channels, channels[0], 3)
        blocks: list[nn.Module] = []
        inputs = channels[0]
        for stage, (width, depth) in enumerate(zip(channels, depths, strict=True)):
            for block in range(depth):
                stride = 2 if stage and not block else 1
                hidden = inputs * expansion[stage]
                blocks.append(InvertedBlock(inputs, width, hidden, kernels[stage], stride))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.head = _wide(inputs, head, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(head, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: images (N, in_channels, H, W) -> logits (N, num_classes)."""
        x = self.head(self.blocks(self.stem(x)))
        return self.classifier(self.flatten(self.pool(x)))


def _wide(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Return a convolution with batch norm and hard swish."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.Hardswish(),
    )


def draw(random: np.random.RandomState, stages: int) -> Sizes:
    """Draw one to three blocks in each stage, with two to four times as many hidden channels."""
    channels = widths(random, stages, 8, 14)
    return {
        "channels": channels,
        "depths": repeated(random, stages, 3),
        "expansion": random.randint(2, 5, stages).tolist(),
        "kernels": random.choice([3, 3, 5], stages).tolist(),
        "head": int(channels[-1] * random.uniform(2, 4)),
    }


register(Family("inverted", Inverted, draw))
