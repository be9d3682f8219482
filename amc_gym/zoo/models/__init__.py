"""Networks by name, built for a data set."""

from __future__ import annotations

from typing import Any

from torch import nn

from amc_gym._utils.discovery import import_modules
from amc_gym._utils.names import choose
from amc_gym.zoo.models.cifar_resnet import CifarResNet
from amc_gym.zoo.models.mobilenet import MobileNetV1
from amc_gym.zoo.models.network import NETWORKS, Network, Variant, register

__all__ = [
    "NETWORKS",
    "CifarResNet",
    "MobileNetV1",
    "Network",
    "Variant",
    "architecture",
    "build",
    "register",
    "variant",
]


import_modules(__name__)


def variant(network: str, dataset: str) -> Variant:
    """Return the variant of a network on a data set.

    Images from a user's folder have the size of ImageNet's; networks without a variant for that use
    their variant for CIFAR-10.

    Raises:
        ValueError: either name is unknown; the message suggests a close match and lists the
            choices.
    """
    variants = NETWORKS[choose("network", network, NETWORKS)].variants
    choose(f"dataset for {network}", dataset, [*variants, "folder"])
    if dataset == "folder":
        dataset = "imagenet" if "imagenet" in variants else "cifar10"
    return variants[dataset]


def architecture(network: str, dataset: str, classes: int | None = None) -> dict[str, Any]:
    """Return the builder's arguments for a network on a data set.

    Args:
        network: a name in ``NETWORKS``.
        dataset: "digits", "cifar10", "imagenet" or "folder".
        classes: length of the logits; None: the variant's.

    Raises:
        ValueError: either name is unknown; the message suggests a close match and lists the
            choices.
    """
    arguments = dict(variant(network, dataset).architecture)
    return arguments if classes is None else arguments | {"num_classes": classes}


def build(network: str, dataset: str, classes: int | None = None) -> nn.Module:
    """Return the untrained network, see ``Network.build``.

    Arguments and errors are those of ``architecture``.
    """
    arguments = architecture(network, dataset, classes)
    return NETWORKS[network].build(**arguments)
