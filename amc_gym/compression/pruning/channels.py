"""Channel pruning: the best-ranked channels of each unit are kept (paper, section 3.4)."""

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
from amc_gym.compression.pruning.cut import Cut, channel_cut
from amc_gym.compression.pruning.pruner import Pruner
from amc_gym.compression.pruning.pruning import Pruning, Statistics
from amc_gym.compression.ranking.importance import Importance, ranking
from amc_gym.compression.ranking.order import rank
from amc_gym.compression.recovery import Calibration, Chain
from amc_gym.compression.slim import Kept


class ChannelPruning(Pruning):
    """Pruning that keeps the best-ranked channels of each unit."""

    granularity = "channel"
    max_sparsity = 0.8
    runs_faster = True

    def __init__(
        self, statistics: Statistics, importance: str | Importance, recovery: Chain
    ) -> None:
        self._statistics, self._recovery = statistics, recovery
        self.graph = statistics.graph
        self.per_plan = recovery.per_plan
        needs = ranking(importance).needs
        self.orders = rank(
            statistics.model,
            self.graph,
            statistics.grams if recovery.refits or "grams" in needs else {},
            importance,
            statistics.saliency if "saliency" in needs else None,
        )

    @classmethod
    def check(cls, importance: str | Importance, recovery: Chain) -> None:
        """Accept any ranking and recovery."""

    def cost(self, resource: Resource) -> Cost:
        """Return the cost model of a resource for any channel counts."""
        return resource.of_channels(self.graph)

    def source(self, model: nn.Module, graph: ChannelGraph) -> Pruner:
        """Return a pruner of ``model``, with re-fitted weights if the recovery re-fits."""
        grams = self._statistics.grams if self._recovery.refits else {}
        self._pruner = Pruner(model, graph, self.orders, grams)
        return self._pruner

    def kept(self, counts: Sequence[int]) -> Kept:
        """Return the channels of each unit that a plan of these counts keeps, ascending."""
        return tuple(
            np.sort(order[:count]) for order, count in zip(self.orders, counts, strict=True)
        )

    @recorded
    def build(self, counts: Sequence[int]) -> nn.Module:
        """Return the recovered slim network of a plan."""
        return self._recovery.recover(self.kept(counts), self._statistics)

    def decisions(self, counts: Sequence[int]) -> dict[str, Any]:
        """Return the ``kept`` channels by unit."""
        kept = zip(self.graph.units, self.kept(counts), strict=True)
        return {"kept": {unit.name: tuple(channels.tolist()) for unit, channels in kept}}

    def errors(self, curvatures: Sequence[float]) -> list[list[np.ndarray]]:
        """Return errors by the statistics alone, for any recovery."""
        known, pruner = self._statistics, self._pruner
        if not self._recovery.refits:
            pruner = Pruner(known.model, self.graph, self.orders, known.grams)
        return [
            pruner.errors(
                known.measured,
                {name: s**power for name, s in known.sensitivity.items()} if power else None,
            )
            for power in curvatures
        ]

    @classmethod
    def units(cls, model: nn.Module, graph: ChannelGraph) -> ChannelGraph:
        """Return the channel graph itself."""
        return graph

    @classmethod
    def replay(cls, plan: CompressionPlan, known: Calibration, recovery: Chain) -> nn.Module:
        """Return the recovered slim network of the channels that the plan keeps."""
        return recovery.recover(plan.kept_channels(known.graph), known)

    @classmethod
    def cut(cls, plan: CompressionPlan, known: Calibration) -> Cut:
        """Return the cut that leaves the channels that the plan keeps."""
        return channel_cut(known.model, known.graph, plan.kept_channels(known.graph))

    @classmethod
    def count(
        cls, network: nn.Module, resource: Resource, graph: ChannelGraph, example: Nest
    ) -> int | None:
        """Count the cost of a built network."""
        return resource.count(network, example)
