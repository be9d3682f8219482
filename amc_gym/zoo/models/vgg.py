"""VGG-16 (Simonyan and Zisserman, 2015): torchvision's for ImageNet, and one for small images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from amc_gym.zoo.models.network import GREY, Network, Variant, register

# Column D of the paper's table 1: convolutions of each stage, and their channels.
STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


class SmallVGG16(nn.Module):
    """VGG-16's 13 convolutions with batch norm and one linear layer: the usual CIFAR variant.

    The paper's three linear layers hold 124 of its 138 million weights, for 7 x 7 feature maps
    that small images do not leave.

    Maps images ``(N, in_channels, H, W)`` to logits ``(N, num_classes)``.

    Args:
        num_classes: length of the logits.
        width: multiplier of every channel count, rounded down.
        in_channels: channels of the images, 3 for colour, 1 for grey.
        pools: stages, from 1 to 5, after which the feature map is halved.
    """

    def __init__(
        self,
        num_classes: int = 10,
        *,
        width: float = 1.0,
        in_channels: int = 3,
        pools: Sequence[int] = (1, 2, 3, 4, 5),
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = in_channels
        for stage, (convolutions, channels) in enumerate(STAGES, start=1):
            outputs = int(channels * width)
            for _ in range(convolutions):
                layers += [
                    nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                    nn.BatchNorm2d(outputs),
                    nn.ReLU(),
                ]
                inputs = outputs
            if stage in pools:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map images to logits."""
        return self.classifier(self.flatten(self.pool(self.features(x))))


def vgg16(num_classes: int = 1000, *, small_images: bool = False, **arguments: Any) -> nn.Module:
    """Return torchvision's VGG-16 for ImageNet, which has no batch norm, or ``SmallVGG16``.

    Args:
        num_classes: length of the logits.
        small_images: whether to return the variant for small images.
        arguments: further arguments of ``SmallVGG16``.
    """
    if small_images:
        return SmallVGG16(num_classes, **arguments)
    from torchvision import models as torchvision_models  # takes as long as importing torch

    return torchvision_models.vgg16(num_classes=num_classes, **arguments)


register(
    Network(
        "VGG16",
        vgg16,
        {
            "digits": Variant(
                GREY | {"small_images": True, "width": 0.125, "pools": (1, 2, 3)},
                preserve_ratio=0.2,
            ),
            "cifar10": Variant({"num_classes": 10, "small_images": True}, channel_multiple=8),
            "imagenet": Variant(preserve_ratio=0.2, channel_multiple=8),
            "imagenette": Variant(
                {"num_classes": 10, "small_images": True}, preserve_ratio=0.25, channel_multiple=8
            ),
            "imagenette96": Variant(
                {"num_classes": 10, "small_images": True, "width": 0.25},
                preserve_ratio=0.25,
                channel_multiple=4,
            ),
        },
        torchvision="VGG16_Weights.IMAGENET1K_V1",
    )
)
