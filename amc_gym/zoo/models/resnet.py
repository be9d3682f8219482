"""torchvision's ResNet-50 (He et al., 2016), optionally adapted to small images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from amc_gym.zoo.models.network import GREY, Network, Variant, register

if TYPE_CHECKING:
    from torchvision.models.resnet import ResNet

BLOCKS = [3, 4, 6, 3]


def resnet50(
    num_classes: int = 1000,
    *,
    width: float = 1.0,
    in_channels: int = 3,
    small_images: bool = False,
) -> ResNet:
    """Return ResNet-50 for any input size; the defaults are torchvision's network for ImageNet.

    Args:
        num_classes: length of the logits.
        width: multiplier of the channels of all stages, not of the stem.
        in_channels: channels of the images, 3 for colour, 1 for grey.
        small_images: whether the stem is a 3 x 3 convolution of stride 1 without pooling, as is
            usual for CIFAR-10, instead of 7 x 7 and stride 2 with pooling.
    """
    # Importing torchvision takes as long as importing torch.
    from torchvision.models.resnet import Bottleneck, ResNet

    from amc_gym.zoo.models._narrow_resnet import NarrowResNet

    model = (
        ResNet(Bottleneck, BLOCKS, num_classes)
        if width == 1
        else NarrowResNet(BLOCKS, width, num_classes)
    )
    if small_images or in_channels != 3:
        kernel, stride = (3, 1) if small_images else (7, 2)
        model.conv1 = nn.Conv2d(
            in_channels, model.conv1.out_channels, kernel, stride, padding=kernel // 2, bias=False
        )
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    if small_images:
        model.maxpool = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    return model


register(
    Network(
        "ResNet50",
        resnet50,
        {
            "digits": Variant(GREY | {"small_images": True, "width": 0.125}, preserve_ratio=0.35),
            "cifar10": Variant({"num_classes": 10, "small_images": True}, channel_multiple=8),
            "imagenet": Variant(channel_multiple=8),
            "imagenette": Variant({"num_classes": 10}, channel_multiple=8),
            "imagenette96": Variant({"num_classes": 10, "width": 0.25}, channel_multiple=4),
        },
        torchvision="ResNet50_Weights.IMAGENET1K_V1",
    )
)
