"""Networks of the zoo, each with its builder and its shape on each data set.

A new network is a file in this folder that calls ``register``; it is found automatically.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

# Digits are 16 x 16 grey images.  Feature maps end at 2 x 2 or 4 x 4, and the widths keep an
# evaluation at tens of milliseconds.
GREY = {"num_classes": 10, "in_channels": 1}


@dataclass(frozen=True)
class Variant:
    """A network on a data set.

    Attributes:
        architecture: arguments of the builder that suit the images and classes.
        preserve_ratio: default share of the resource to keep, at which agents differ; the paper's,
            if it has this network on this data set.
        channel_multiple: kept channel counts are multiples of this by default: 8 suits CPUs, and 1
            leaves a choice if units have only 16 channels.
    """

    architecture: Mapping[str, Any] = field(default_factory=dict)
    preserve_ratio: float = 0.5
    channel_multiple: int = 1


@dataclass(frozen=True)
class Network:
    """A family of networks.

    Attributes:
        name: its name in tasks.
        builder: makes a network; takes ``num_classes`` and the arguments of a variant.
        variants: data set -> variant.
        torchvision: name of torchvision's ImageNet weights, of the training that the paper's
            accuracies belong to, or None.
        rename: converts the names of a published checkpoint to the builder's, if necessary.
    """

    name: str
    builder: Callable[..., nn.Module]
    variants: Mapping[str, Variant]
    torchvision: str | None = None
    rename: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict

    def build(self, **architecture: Any) -> nn.Module:
        """Return the untrained network for these arguments of ``builder``, in training mode.

        Its weights are drawn from torch's global generator, whose state is restored, so that a
        user's random numbers do not depend on whether a network was built or cached.
        """
        with torch.random.fork_rng(devices=[]):
            return self.builder(**architecture)


NETWORKS: dict[str, Network] = {}
"""Name -> registered network."""


def register(network: Network) -> None:
    """Register a network by its name.

    Raises:
        ValueError: another network has that name.
    """
    if network.name in NETWORKS:
        raise ValueError(f"there is a network {network.name!r} already: choose another name")
    NETWORKS[network.name] = network
