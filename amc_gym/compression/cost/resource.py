"""A resource that a budget counts: what a network needs of it, as an integer.

A new one is a file here with a ``Resource`` of its own, or a function of one layer's sizes
(``layerwise``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import nn

from amc_gym._utils.nests import Nest
from amc_gym.compression.graph import ChannelGraph


class Cost(Protocol):
    """Cost of any plan of one network; costs are integers and never decrease in a count."""

    names: tuple[str, ...]
    full: int

    def per_layer(self, counts: Sequence[int]) -> np.ndarray:
        """Cost of each layer, (layers,), in execution order."""
        ...

    def total(self, counts: Sequence[int]) -> int:
        """Cost of the whole network."""
        ...

    def totals(self, plans: np.ndarray) -> np.ndarray:
        """Cost of several plans at once: (n, units) -> (n,), int64."""
        ...


class Resource(ABC):
    """Something that a network needs, and how much of it.

    Attributes:
        name: what options and plans call it.
        title: what tables call it.
    """

    name: str
    title: str

    @abstractmethod
    def of_channels(self, graph: ChannelGraph) -> Cost:
        """Cost of the network of ``graph`` for any channel counts of its units.

        Raises:
            GraphError: it has no closed form.
        """

    def of_weights(self, model: nn.Module, graph: ChannelGraph) -> Cost:
        """Cost of ``model`` for any number of weights of its layers that are not zero.

        Args:
            model: the network.
            graph: whose units are its layers, see ``fine_grained.weight_graph``.

        Raises:
            ValueError: the resource has no such cost.
        """
        raise ValueError(
            f"resource {self.name!r} counts channels, not single weights: choose "
            "granularity='channel'"
        )

    def count(self, network: nn.Module, example: Nest) -> int | None:
        """Count on a network itself, to check the closed form against.

        Args:
            network: in eval mode.
            example: inputs (N, ...), of which the first is taken.

        Returns:
            Its cost, or None where nothing else than the closed form knows it.
        """
        return None


RESOURCES: dict[str, Resource] = {}
"""Name -> registered resource."""


TOLD = ("macs", "params")
"""Resources that every plan tells, and that can be counted on any network."""


def add(resource: Resource) -> None:
    """Make a resource known by its name.

    Raises:
        ValueError: another resource has that name.
    """
    if resource.name in RESOURCES or resource.name == "latency":
        raise ValueError(f"there is a resource {resource.name!r} already: choose another name")
    RESOURCES[resource.name] = resource
