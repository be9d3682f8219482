"""The base class of granularities: decisions, their cost, and the networks of plans."""

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
    """Statistics of the original network, before any decision."""

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
        """Sensitivity of the loss to each layer's output."""
        ...


class Pruning(ABC):
    """Decisions of one granularity for one network.

    Args:
        statistics: of the original network.
        importance: which channels or weights stay.
        recovery: how the kept weights make up for the pruned ones.

    Attributes:
        graph: units of decision, and layers.
        per_plan: whether a network has to be built for each plan; otherwise tensors are swapped.
    """

    granularity: ClassVar[str]

    max_sparsity: ClassVar[float | dict[str, float]]
    """The paper's a_max (section 3.2), for all layers or by kind."""

    runs_faster: ClassVar[bool]
    """Whether pruning makes runtimes faster."""

    graph: ChannelGraph
    per_plan: bool

    @abstractmethod
    def __init__(
        self, statistics: Statistics, importance: str | Importance, recovery: Chain
    ) -> None: ...

    @classmethod
    @abstractmethod
    def check(cls, importance: str | Importance, recovery: Chain) -> None:
        """Refuse options that this granularity does not support.

        Raises:
            ValueError: an option is not supported; the message names those that are.
        """

    @abstractmethod
    def cost(self, resource: Resource) -> Cost:
        """Return the cost model of a resource for this granularity's counts.

        Raises:
            ValueError: the resource does not depend on these counts.
        """

    @abstractmethod
    def source(self, model: nn.Module, graph: ChannelGraph) -> TensorSource:
        """Return the pruner that makes a plan's tensors; ``errors`` uses the latest one.

        Args:
            model: the network that tensors are swapped into; its norms may have been folded.
            graph: its channel graph.
        """

    @abstractmethod
    def build(self, counts: Sequence[int]) -> nn.Module:
        """Return the recovered network of a plan, a new module in eval mode."""

    @abstractmethod
    def decisions(self, counts: Sequence[int]) -> dict[str, Any]:
        """Return the decisions of a plan: ``kept`` channels by unit, or ``weights`` by layer."""

    @abstractmethod
    def errors(self, curvatures: Sequence[float]) -> list[list[np.ndarray]]:
        """Return errors of layers when a unit keeps k channels; see ``Engine.errors``."""

    @classmethod
    @abstractmethod
    def units(cls, model: nn.Module, graph: ChannelGraph) -> ChannelGraph:
        """Return the graph of this granularity's units, from the channel graph of a network."""

    @classmethod
    @abstractmethod
    def replay(cls, plan: CompressionPlan, known: Calibration, recovery: Chain) -> nn.Module:
        """Return the recovered network of a plan that was made elsewhere.

        Raises:
            PlanError: the plan does not fit the network.
        """

    @classmethod
    @abstractmethod
    def cut(cls, plan: CompressionPlan, known: Calibration) -> Cut:
        """Return what a plan that was made elsewhere drops from the network.

        Raises:
            PlanError: the plan does not fit the network.
        """

    @classmethod
    @abstractmethod
    def count(
        cls, network: nn.Module, resource: Resource, graph: ChannelGraph, example: Nest
    ) -> int | None:
        """Count the cost of a pruned network on the network itself, without the closed form.

        Args:
            network: pruned by this granularity, or the original.
            resource: what is counted.
            graph: the channel graph of the original network.
            example: inputs of one sample, such as an image (1, C, H, W).

        Returns:
            The cost, or None if it is known by the closed form only.
        """
