"""Weight pruning: the largest weights of each layer are kept, others become 0 (section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.nests import Nest
from amc_gym.compression.cost import Cost, Resource
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.plan import CompressionPlan
from amc_gym.compression.pruning.cut import Cut, weight_cut
from amc_gym.compression.pruning.fine_grained import (
    SparsePruner,
    sparse,
    sparse_pruner,
    weight_graph,
    zeros,
)
from amc_gym.compression.pruning.pruning import Pruning, Statistics
from amc_gym.compression.ranking.importance import Importance
from amc_gym.compression.recovery import RECOVERIES, Calibration, Chain


class WeightPruning(Pruning):
    """Pruning that keeps the weights of largest magnitude of each layer."""

    granularity = "weight"
    max_sparsity = {"conv": 0.8, "linear": 0.98}  # noqa: RUF012
    runs_faster = False

    def __init__(
        self, statistics: Statistics, importance: str | Importance, recovery: Chain
    ) -> None:
        self._statistics, self._recovery = statistics, recovery
        model = statistics.model
        self.graph = weight_graph(model, statistics.graph)
        self.per_plan = bool(recovery.steps)

    @classmethod
    def check(cls, importance: str | Importance, recovery: Chain) -> None:
        """Refuse rankings of channels, and recoveries that re-fit weights.

        Raises:
            ValueError: an option is not supported; the message names those that are.
        """
        if importance != "magnitude":
            raise ValueError("granularity='weight' needs importance='magnitude'")
        if not recovery.sparse:
            known = ", ".join(repr(name) for name, step in RECOVERIES.items() if step.sparse)
            raise ValueError(
                "granularity='weight' does not re-fit weights: choose recovery='none' or one of "
                f"{known}, instead of {str(recovery)!r}"
            )

    def cost(self, resource: Resource) -> Cost:
        """Return the cost model of a resource for any numbers of weights."""
        return resource.of_weights(self._statistics.model, self.graph)

    def source(self, model: nn.Module, graph: ChannelGraph) -> SparsePruner:
        """Return a pruner of ``model``, ranked by the original's magnitudes."""
        return sparse_pruner(self._statistics.model, model, graph)

    @recorded
    def build(self, counts: Sequence[int]) -> nn.Module:
        """Return the recovered sparse network of a plan."""
        network = sparse(self._statistics.model, self._by_name(counts))
        return self._recovery.apply(network, None, self._statistics)

    def decisions(self, counts: Sequence[int]) -> dict[str, Any]:
        """Return how many ``weights`` each layer keeps."""
        return {"kept": {}, "weights": self._by_name(counts)}

    def errors(self, curvatures: Sequence[float]) -> list[list[np.ndarray]]:
        """Refuse, because weight pruning has no errors by kept channels.

        Raises:
            ValueError: always.
        """
        raise ValueError("weights have no reconstruction errors: choose granularity='channel'")

    def _by_name(self, counts: Sequence[int]) -> dict[str, int]:
        return {unit.name: n for unit, n in zip(self.graph.units, counts, strict=True)}

    @classmethod
    def units(cls, model: nn.Module, graph: ChannelGraph) -> ChannelGraph:
        """Return the graph with one unit for each layer that multiplies."""
        return weight_graph(model, graph)

    @classmethod
    def replay(cls, plan: CompressionPlan, known: Calibration, recovery: Chain) -> nn.Module:
        """Return the recovered sparse network of a plan."""
        kept = plan.kept_weights(weight_graph(known.model, known.graph))
        return recovery.apply(sparse(known.model, kept), None, known)

    @classmethod
    def cut(cls, plan: CompressionPlan, known: Calibration) -> Cut:
        """Return the cut that sets to zero what the plan does not keep."""
        kept = plan.kept_weights(weight_graph(known.model, known.graph))
        return weight_cut(zeros(sparse(known.model, kept), kept))

    @classmethod
    def count(
        cls, network: nn.Module, resource: Resource, graph: ChannelGraph, example: Nest
    ) -> int | None:
        """Count the cost of the non-zero weights."""
        return resource.of_weights(network, weight_graph(network, graph)).full
