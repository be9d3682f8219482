"""A granularity: what is decided, what it costs, and how a plan becomes a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import nn

from amc_gym._utils.nests import Nest
from amc_gym.compression.cost import Cost, Resource
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.plan import CompressionPlan
from amc_gym.compression.pruning.candidates import TensorSource
from amc_gym.compression.pruning.cut import Cut
from amc_gym.compression.ranking.importance import Importance
from amc_gym.compression.recovery import Calibration, Chain


class Statistics(Calibration, Protocol):
    """Statistics of the original network before any decision."""

    @cached_property
    def saliency(self) -> Sequence[torch.Tensor]:
        """First-order Taylor importance of each unit's channels, (channels,) each."""
        ...

    @cached_property
    def measured(self) -> Mapping[str, torch.Tensor]:
        """Gram matrices of layers with too few samples to be re-fitted."""
        ...

    @cached_property
    def sensitivity(self) -> Mapping[str, float]:
        """How much the loss reacts to each layer's output."""
        ...


class Pruning(ABC):
    """Decisions of one granularity about one network.

    Args:
        statistics: of the original network.
        importance: which channels or weights stay.
        recovery: how the kept weights make up for the others.

    Attributes:
        graph: units of decision, and the layers.
        per_plan: whether a network has to be built for each plan; otherwise tensors are swapped.
    """

    granularity: ClassVar[str]

    max_sparsity: ClassVar[float | dict[str, float]]
    """The paper's a_max (section 3.2), of all layers or by their kind."""

    runs_faster: ClassVar[bool]
    """Whether what is pruned makes runtimes faster."""

    graph: ChannelGraph
    per_plan: bool

    @abstractmethod
    def __init__(
        self, statistics: Statistics, importance: str | Importance, recovery: Chain
    ) -> None: ...

    @classmethod
    @abstractmethod
    def check(cls, importance: str | Importance, recovery: Chain) -> None:
        """Refuse options that this granularity does not have.

        Raises:
            ValueError: the message names those it has.
        """

    @abstractmethod
    def cost(self, resource: Resource) -> Cost:
        """Cost of any counts of this granularity.

        Raises:
            ValueError: the resource does not count it.
        """

    @abstractmethod
    def source(self, model: nn.Module, graph: ChannelGraph) -> TensorSource:
        """Make the pruner that gives a plan's tensors to a network; ``errors`` asks the latest.

        Args:
            model: the network they are swapped into; its norms may have been folded.
            graph: its channel graph.
        """

    @abstractmethod
    def build(self, counts: Sequence[int]) -> nn.Module:
        """Return the recovered network of a plan, a new module in eval mode."""

    @abstractmethod
    def decisions(self, counts: Sequence[int]) -> dict[str, Any]:
        """Content of the plan of these counts: ``kept`` channels by unit, ``weights`` by layer."""

    @abstractmethod
    def errors(self, curvatures: Sequence[float]) -> list[list[np.ndarray]]:
        """Errors of layers when a unit keeps k channels; see ``Engine.errors``."""

    @classmethod
    @abstractmethod
    def units(cls, model: nn.Module, graph: ChannelGraph) -> ChannelGraph:
        """Return the graph of this granularity's units, from the channel graph of a network."""

    @classmethod
    @abstractmethod
    def replay(cls, plan: CompressionPlan, known: Calibration, recovery: Chain) -> nn.Module:
        """Return the network of a plan that was made elsewhere, recovered.

        Raises:
            PlanError: it does not fit the network.
        """

    @classmethod
    @abstractmethod
    def cut(cls, plan: CompressionPlan, known: Calibration) -> Cut:
        """Return what a plan that was made elsewhere takes from the network.

        Raises:
            PlanError: it does not fit the network.
        """

    @classmethod
    @abstractmethod
    def count(
        cls, network: nn.Module, resource: Resource, graph: ChannelGraph, example: Nest
    ) -> int | None:
        """Cost of a pruned network, counted on it rather than by a closed form.

        Args:
            network: of this granularity's making, or the original.
            resource: what is counted.
            graph: the channel graph of the original network.
            example: inputs of one sample, such as an image (1, C, H, W).

        Returns:
            The cost, or None where nothing else than the closed form knows it.
        """
