"""Networks of the zoo: each has its builder and its shape on each data set.

A new one is a file in this folder that calls ``register``; it is found by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

# Digits are 16 x 16 grey images; feature maps end at 2 x 2 or 4 x 4, and widths keep an
# evaluation at tens of milliseconds.
GREY = {"num_classes": 10, "in_channels": 1}


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
        name: what tasks call it.
        builder: makes one; takes ``num_classes`` and what the variants hold.
        variants: data set -> variant.
        torchvision: name of torchvision's ImageNet weights, of the training that the paper's
            accuracies belong to, or None.
        rename: brings a published checkpoint's names into the builder's, or leaves them alone.
    """

    name: str
    builder: Callable[..., nn.Module]
    variants: Mapping[str, Variant]
    torchvision: str | None = None
    rename: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict

    def build(self, **architecture: Any) -> nn.Module:
        """Return the untrained network of these arguments of ``builder``, in training mode.

        It is drawn from torch's global generator, which stays as it was: whether a network is made
        or was in memory already changes nothing of what a user draws after it.
        """
        with torch.random.fork_rng(devices=[]):
            return self.builder(**architecture)


NETWORKS: dict[str, Network] = {}
"""Name -> registered network."""


def register(network: Network) -> None:
    """Make a network known by its name.

    Raises:
        ValueError: another one has it.
    """
    if network.name in NETWORKS:
        raise ValueError(f"there is a network {network.name!r} already")
    NETWORKS[network.name] = network
