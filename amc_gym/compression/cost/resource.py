"""Resources that a budget limits: integer costs of a network.

A new one is a file in this folder with its own ``Resource``, or a function of one layer's sizes
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
    """Cost of any plan of one network: integers that never decrease when a count grows."""

    names: tuple[str, ...]
    full: int

    def per_layer(self, counts: Sequence[int]) -> np.ndarray:
        """Return the cost of each layer, (layers,), in execution order."""
        ...

    def total(self, counts: Sequence[int]) -> int:
        """Return the cost of the whole network."""
        ...

    def totals(self, plans: np.ndarray) -> np.ndarray:
        """Return the costs of several plans: (n, units) -> (n,) int64."""
        ...


class Resource(ABC):
    """A resource that networks need, and its cost models.

    Attributes:
        name: its name in options and plans.
        title: its name in tables.
    """

    name: str
    title: str

    @abstractmethod
    def of_channels(self, graph: ChannelGraph) -> Cost:
        """Return the cost model of a network for any channel counts of its units.

        Raises:
            GraphError: it has no closed form.
        """

    def of_weights(self, model: nn.Module, graph: ChannelGraph) -> Cost:
        """Return the cost model of ``model`` for any numbers of non-zero weights.

        Args:
            model: the network.
            graph: graph whose units are its layers, see ``fine_grained.weight_graph``.

        Raises:
            ValueError: the resource does not support weight pruning.
        """
        raise ValueError(
            f"resource {self.name!r} is not defined for weight pruning: choose "
            "granularity='channel'"
        )

    def count(self, network: nn.Module, example: Nest) -> int | None:
        """Count the cost on a network itself, to check the closed form.

        Args:
            network: in eval mode.
            example: inputs (N, ...), of which the first is used.

        Returns:
            Its cost, or None if it is known by the closed form only.
        """
        return None


RESOURCES: dict[str, Resource] = {}
"""Name -> registered resource."""


REPORTED = ("macs", "params")
"""Resources that every plan states, and that can be counted on any network."""


def add(resource: Resource) -> None:
    """Register a resource by its name.

    Raises:
        ValueError: another resource has that name.
    """
    if resource.name in RESOURCES or resource.name == "latency":
        raise ValueError(f"there is a resource {resource.name!r} already: choose another name")
    RESOURCES[resource.name] = resource
