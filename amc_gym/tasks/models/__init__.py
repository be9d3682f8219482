"""The networks the package knows, and their shape on each data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from amc_gym.names import choose
from amc_gym.tasks.models.mobilenet import MobileNetV1

__all__ = ["NETWORKS", "MobileNetV1", "Network", "Setting", "architecture", "build", "setting"]


@dataclass(frozen=True)
class Setting:
    """A network on a data set.

    Attributes:
        architecture: the builder's arguments that suit the images and classes.
        preserve_ratio: share of the resource to keep by default, so that the task tells
            agents apart.
        channel_multiple: kept channel counts are multiples of this by default.
    """

    architecture: Mapping[str, Any]
    preserve_ratio: float = 0.5
    channel_multiple: int = 1


@dataclass(frozen=True)
class Network:
    """A family of networks: its builder, and its setting on each data set."""

    builder: Callable[..., nn.Module]
    settings: Mapping[str, Setting]


NETWORKS: dict[str, Network] = {
    "MobileNet": Network(
        MobileNetV1,
        {
            # 16 x 16 grey images: no reduction in the stem nor in the last stage, so that feature
            # maps end at 2 x 2; half the width keeps an evaluation at tens of milliseconds.
            "digits": Setting(
                {
                    "num_classes": 10,
                    "width": 0.5,
                    "in_channels": 1,
                    "stem_stride": 1,
                    "strides": (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1),
                },
                preserve_ratio=0.2,
            ),
        },
    ),
}


def setting(network: str, dataset: str) -> Setting:
    """The setting of a network on a data set.

    Raises:
        ValueError: either name is unknown; the message has the near match and the choices.
    """
    settings = NETWORKS[choose("network", network, NETWORKS)].settings
    return settings[choose(f"dataset for {network}", dataset, settings)]


def architecture(network: str, dataset: str) -> dict[str, Any]:
    """The builder's arguments for a network on a data set; see ``setting`` for what is raised."""
    return dict(setting(network, dataset).architecture)


def build(network: str, dataset: str) -> nn.Module:
    """The untrained network, initialised from torch's global generator, in training mode.

    Raises:
        ValueError: either name is unknown; the message has the near match and the choices.
    """
    arguments = architecture(network, dataset)
    return NETWORKS[network].builder(**arguments)
