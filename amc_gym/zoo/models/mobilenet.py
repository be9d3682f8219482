"""MobileNet-V1: Howard et al., "MobileNets", 2017, arXiv:1704.04861, table 1."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from amc_gym.zoo.models.network import GREY, Network, Variant, register

# Table 1 of the paper: output channels and stride of the 13 depthwise separable blocks.
CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


class ConvNormReLU(nn.Module):
    """Convolution without bias, batch normalisation, ReLU; "same" padding at stride 1."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Run the layers: (B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        return self.relu(self.norm(self.conv(x)))


class SeparableBlock(nn.Module):
    """A 3x3 convolution per channel, then a 1x1 convolution across channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = ConvNormReLU(inputs, inputs, kernel=3, stride=stride, groups=inputs)
        self.pointwise = ConvNormReLU(inputs, outputs, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block: (B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        return self.pointwise(self.depthwise(x))


class MobileNetV1(nn.Module):
    """MobileNet-V1 for any input size; the defaults are the ImageNet network of the paper.

    Maps images ``(N, in_channels, H, W)`` to logits ``(N, num_classes)``.

    Args:
        num_classes: length of the logits.
        width: multiplier of every channel count, each rounded to a multiple of 8.
        in_channels: channels of the images, 3 for colour, 1 for grey.
        stem_stride: stride of the first convolution; 1 for small images.
        strides: stride of each of the 13 blocks.

    Raises:
        ValueError: ``width`` is not positive, or there are not 13 ``strides``.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width: float = 1.0,
        in_channels: int = 3,
        stem_stride: int = 2,
        strides: Sequence[int] = STRIDES,
    ) -> None:
        super().__init__()
        if width <= 0:
            raise ValueError(f"width must be positive, not {width}")
        if len(strides) != len(CHANNELS):
            raise ValueError(f"strides must hold {len(CHANNELS)} numbers, not {len(strides)}")

        stem, *outputs = (scaled(channels, width) for channels in (32, *CHANNELS))
        inputs = [stem, *outputs[:-1]]
        self.stem = ConvNormReLU(in_channels, stem, kernel=3, stride=stem_stride)
        self.blocks = nn.Sequential(*map(SeparableBlock, inputs, outputs, strides))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(outputs[-1], num_classes)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: images (N, in_channels, H, W) -> logits (N, num_classes)."""
        return self.classifier(self.flatten(self.pool(self.blocks(self.stem(x)))))


def scaled(channels: int, width: float) -> int:
    """Return ``channels * width`` rounded to the nearest multiple of 8 (ties up), at least 8."""
    return max(8, int(channels * width + 4) // 8 * 8)


PUBLISHED = {
    r"conv1\.0\.": "stem.conv.",
    r"conv1\.1\.": "stem.norm.",
    r"features\.(\d+)\.0\.": r"blocks.\1.depthwise.conv.",
    r"features\.(\d+)\.1\.": r"blocks.\1.depthwise.norm.",
    r"features\.(\d+)\.3\.": r"blocks.\1.pointwise.conv.",
    r"features\.(\d+)\.4\.": r"blocks.\1.pointwise.norm.",
    r"classifier\.0\.": "classifier.",
}
"""Names in the ImageNet checkpoint that the paper's authors publish -> names here."""


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a ``state_dict`` of the authors' checkpoint under the names of ``MobileNetV1``."""
    renamed = {}
    for name, tensor in state.items():
        for theirs, ours in PUBLISHED.items():
            name = re.sub(f"^{theirs}", ours, name)
        renamed[name] = tensor
    return renamed


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        # Over fan_in, because torch's fan_out ignores groups: it is 9 C for a depthwise kernel,
        # each of whose outputs sees just 9 inputs.
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)


register(
    Network(
        "MobileNet",
        MobileNetV1,
        {
            "digits": Variant(
                GREY
                | {
                    "width": 0.5,
                    "stem_stride": 1,
                    "strides": (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1),
                },
                preserve_ratio=0.2,
            ),
            "cifar10": Variant(
                {"num_classes": 10, "width": 0.75, "stem_stride": 1}, channel_multiple=8
            ),
            "imagenet": Variant(channel_multiple=8),
            "imagenette": Variant({"num_classes": 10}, channel_multiple=8),
            "imagenette96": Variant({"num_classes": 10, "width": 0.5}, channel_multiple=8),
        },
        rename=from_published,
    )
)
