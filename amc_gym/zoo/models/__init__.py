"""Networks by name, built to suit a data set."""

from __future__ import annotations

from typing import Any

from torch import nn

from amc_gym._utils.names import choose
from amc_gym.zoo.models.cifar_resnet import CifarResNet
from amc_gym.zoo.models.mobilenet import MobileNetV1
from amc_gym.zoo.models.table import NETWORKS, Network, Setting

__all__ = [
    "NETWORKS",
    "CifarResNet",
    "MobileNetV1",
    "Network",
    "Setting",
    "architecture",
    "build",
    "setting",
]


def setting(network: str, dataset: str) -> Setting:
    """The setting of a network on a data set.

    Images from a user's folder have the size of ImageNet's; networks that have no setting for
    those are given their setting for CIFAR-10.

    Raises:
        ValueError: either name is unknown; the message has the near match and the choices.
    """
    settings = NETWORKS[choose("network", network, NETWORKS)].settings
    choose(f"dataset for {network}", dataset, [*settings, "folder"])
    if dataset == "folder":
        dataset = "imagenet" if "imagenet" in settings else "cifar10"
    return settings[dataset]


def architecture(network: str, dataset: str, classes: int | None = None) -> dict[str, Any]:
    """The builder's arguments for a network on a data set.

    Args:
        network: a name in ``NETWORKS``.
        dataset: "digits", "cifar10", "imagenet" or "folder".
        classes: length of the logits, where it is not the setting's.

    Raises:
        ValueError: either name is unknown; the message has the near match and the choices.
    """
    arguments = dict(setting(network, dataset).architecture)
    return arguments if classes is None else arguments | {"num_classes": classes}


def build(network: str, dataset: str, classes: int | None = None) -> nn.Module:
    """The untrained network, initialised from torch's global generator, in training mode.

    Takes and raises what ``architecture`` does.
    """
    arguments = architecture(network, dataset, classes)
    return NETWORKS[network].builder(**arguments)
