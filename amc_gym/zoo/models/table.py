"""The networks the package knows, and their shape on each data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from amc_gym.zoo.models.cifar_resnet import CifarResNet
from amc_gym.zoo.models.mobilenet import MobileNetV1, from_published
from amc_gym.zoo.models.mobilenet_v2 import mobilenet_v2
from amc_gym.zoo.models.resnet import resnet50
from amc_gym.zoo.models.vgg import vgg16


@dataclass(frozen=True)
class Variant:
    """A network on a data set.

    Attributes:
        architecture: the builder's arguments that suit the images and classes.
        preserve_ratio: share of the resource to keep by default, so that the task tells
            agents apart; the paper's, where it has this network on this data set.
        channel_multiple: kept channel counts are multiples of this by default: 8 pleases
            processors, 1 leaves a choice where units have 16 channels.
    """

    architecture: Mapping[str, Any] = field(default_factory=dict)
    preserve_ratio: float = 0.5
    channel_multiple: int = 1


@dataclass(frozen=True)
class Network:
    """A family of networks.

    Attributes:
        builder: makes one; takes ``num_classes`` and what the variants hold.
        variants: data set -> variant.
        torchvision: name of torchvision's ImageNet weights, of the training that the paper's
            accuracies belong to, or None.
        rename: brings a published checkpoint's names into the builder's, or leaves them alone.
    """

    builder: Callable[..., nn.Module]
    variants: Mapping[str, Variant]
    torchvision: str | None = None
    rename: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict


# Digits are 16 x 16 grey images; feature maps end at 2 x 2 or 4 x 4, and widths keep an
# evaluation at tens of milliseconds.
GREY = {"num_classes": 10, "in_channels": 1}

NETWORKS: dict[str, Network] = {
    "MobileNet": Network(
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
        },
        rename=from_published,
    ),
    "MobileNetV2": Network(
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
        },
        torchvision="MobileNet_V2_Weights.IMAGENET1K_V1",
    ),
    "VGG16": Network(
        vgg16,
        {
            "digits": Variant(
                GREY | {"small_images": True, "width": 0.125, "pools": (1, 2, 3)},
                preserve_ratio=0.2,
            ),
            "cifar10": Variant({"num_classes": 10, "small_images": True}, channel_multiple=8),
            "imagenet": Variant(preserve_ratio=0.2, channel_multiple=8),
        },
        torchvision="VGG16_Weights.IMAGENET1K_V1",
    ),
    "ResNet50": Network(
        resnet50,
        {
            "digits": Variant(GREY | {"small_images": True, "width": 0.125}, preserve_ratio=0.35),
            "cifar10": Variant({"num_classes": 10, "small_images": True}, channel_multiple=8),
            "imagenet": Variant(channel_multiple=8),
        },
        torchvision="ResNet50_Weights.IMAGENET1K_V1",
    ),
    "ResNet56": Network(
        partial(CifarResNet, 56),
        {"digits": Variant(GREY | {"width": 8}), "cifar10": Variant({"num_classes": 10})},
    ),
    "Plain20": Network(
        partial(CifarResNet, 20, residual=False),
        {
            "digits": Variant(GREY, preserve_ratio=0.25),
            "cifar10": Variant({"num_classes": 10}),
        },
    ),
}
