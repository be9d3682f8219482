"""torchvision's MobileNetV2 (Sandler et al., 2018), optionally adapted to small images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from amc_gym.zoo.models.network import GREY, Network, Variant, register

if TYPE_CHECKING:
    from torchvision.models import MobileNetV2

# Table 2 of the paper: expansion, output channels, repetitions and strides of each stage.
STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
STRIDES = (1, 2, 2, 2, 1, 2, 1)


def mobilenet_v2(
    num_classes: int = 1000,
    *,
    width: float = 1.0,
    in_channels: int = 3,
    stem_stride: int = 2,
    strides: Sequence[int] = STRIDES,
) -> MobileNetV2:
    """Return MobileNetV2 for any input size; the defaults are torchvision's network for ImageNet.

    Args:
        num_classes: length of the logits.
        width: multiplier of every channel count except the last convolution's.
        in_channels: channels of the images, 3 for colour, 1 for grey.
        stem_stride: stride of the first convolution; 1 for small images.
        strides: stride of each of the 7 stages.
    """
    from torchvision.models import MobileNetV2  # takes as long as importing torch

    setting = [[*stage, stride] for stage, stride in zip(STAGES, strides, strict=True)]
    model = MobileNetV2(num_classes, width_mult=width, inverted_residual_setting=setting)
    if (in_channels, stem_stride) != (3, 2):
        stem = model.features[0]
        assert isinstance(stem, nn.Sequential)
        old = stem[0]
        assert isinstance(old, nn.Conv2d)
        new = nn.Conv2d(in_channels, old.out_channels, 3, stem_stride, padding=1, bias=False)
        nn.init.kaiming_normal_(new.weight, mode="fan_out")  # as torchvision does
        stem[0] = new
    return model


register(
    Network(
        "MobileNetV2",
        mobilenet_v2,
        {
            "digits": Variant(
                GREY | {"width": 0.5, "stem_stride": 1, "strides": (1, 1, 2, 2, 1, 2, 1)},
                preserve_ratio=0.35,
            ),
            "cifar10": Variant(
                {"num_classes": 10, "stem_stride": 1, "strides": (1, 1, 2, 2, 1, 2, 1)},
                channel_multiple=8,
            ),
            "imagenet": Variant(preserve_ratio=0.7, channel_multiple=8),
            "imagenette": Variant({"num_classes": 10}, preserve_ratio=0.7, channel_multiple=8),
            "imagenette96": Variant(
                {"num_classes": 10, "width": 0.5}, preserve_ratio=0.7, channel_multiple=8
            ),
        },
        torchvision="MobileNet_V2_Weights.IMAGENET1K_V1",
    )
)
