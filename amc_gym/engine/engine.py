"""What ranks, re-fits and evaluates the plans of a task: one engine for all environments alike."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from amc_gym._utils.arguments import function, whole
from amc_gym._utils.machine import device_of
from amc_gym._utils.names import choose
from amc_gym._utils.remembered import Remembered
from amc_gym.compression.cost import RESOURCES, Cost, CostModel
from amc_gym.compression.evaluation.evaluator import METRICS, PRECISIONS, Evaluator, batch_size
from amc_gym.compression.evaluation.form import PLAIN, Form
from amc_gym.compression.evaluation.precision import has_bf16
from amc_gym.compression.fine_grained import SparseCost, sparse, sparse_pruner, weight_graph
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.pruning.agreement import agrees, halves
from amc_gym.compression.pruning.candidates import RecoveredNetwork, SwappedNetwork, TensorSource
from amc_gym.compression.pruning.pruner import Pruner
from amc_gym.compression.ranking.importance import (
    IMPORTANCES,
    NEEDS_GRAM,
    NEEDS_SALIENCY,
    Importance,
)
from amc_gym.compression.ranking.order import rank
from amc_gym.compression.recovery import steps as recovery
from amc_gym.compression.slim import Kept
from amc_gym.engine.analysis import (
    VERIFIED,
    calibrate,
    calibration,
    channel_graph,
    fastest,
    measure,
    saliency,
    sensitivity,
)
from amc_gym.tasks.task import CompressionTask

logger = logging.getLogger(__name__)

REFITTED_TOLERANCE = 1e-2
"""Of the largest output, between two ways of solving the same least-squares problems."""

GRANULARITIES = ("channel", "weight")

Build = Callable[[Sequence[int]], nn.Module]
"""Counts -> the recovered network, a new module."""


@dataclass(frozen=True)
class EngineOptions:
    """How candidate networks are made and judged.

    Raises:
        TypeError: an option of a wrong type.
        ValueError: an unknown name, a number of reward images below 1, or no such device.
    """

    granularity: str = "channel"
    importance: str | Importance = "magnitude"
    recovery: str = "reconstruct"
    metric: str = "top1"
    reward_images: int | None = None
    precision: str = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        put = partial(object.__setattr__, self)
        for name, available in (
            ("granularity", GRANULARITIES),
            ("metric", METRICS),
            ("precision", PRECISIONS),
        ):
            put(name, choose(name, getattr(self, name), available))
        put("importance", _importance(self.importance))
        steps = recovery.parse(self.recovery)
        put("recovery", str(self.recovery))
        if self.granularity == "weight":
            if self.importance != "magnitude":
                raise ValueError("granularity='weight' ranks by importance='magnitude' only")
            if not all(step.name in recovery.AS_BUILT for step in steps):
                raise ValueError(
                    "granularity='weight' does not re-fit weights: choose recovery='none', 'bn' "
                    f"or 'finetune:STEPS' instead of {self.recovery!r}"
                )
        if self.reward_images is not None:
            given = whole("reward_images", self.reward_images, at_least=1, otherwise=" or None")
            put("reward_images", given)
        if isinstance(self.device, torch.device):
            put("device", str(self.device))
        device_of(self.device)  # before anything is loaded
        put("device", str(self.device))


def _importance(importance: str | Importance) -> str | Importance:
    if isinstance(importance, str) or not callable(importance):
        return choose("importance", importance, IMPORTANCES)
    return function("importance", importance, "a UnitView")


class Engine:
    """Ranks, re-fits and evaluates one task under one set of options.

    Attributes:
        task: what is compressed.
        options: how.
        steps: of the recovery.
        graph: units of decision and layers of the original network.
        costs: resource -> cost model of the original network.
        evaluator: counts -> hits on the reward images.
        reward_images: how many those are.
        form: in which networks are evaluated.
    """

    graph: ChannelGraph
    costs: Mapping[str, Cost]

    def __init__(self, task: CompressionTask, options: EngineOptions) -> None:
        n = self.reward_images = options.reward_images or len(task.reward)
        if n > len(task.reward):
            raise ValueError(
                f"reward_images={n}, but the task has only {len(task.reward)}: choose at most so "
                "many, or None for all"
            )
        self.task, self.options = task, options
        self.steps = recovery.parse(options.recovery)
        form = fastest(task)
        folded, graph = (form or PLAIN).fold(task.model, channel_graph(task))
        decide = self._decide_channels if options.granularity == "channel" else self._decide_weights
        pruner, build = decide(task, folded, graph)
        like = {"device": device_of(options.device), "dtype": PRECISIONS[options.precision]}
        if options.precision == "bf16" and not has_bf16(like["device"]):
            warnings.warn(
                f"this {like['device'].type} has no bf16 arithmetic: an evaluation takes some ten "
                "times as long as with precision='float32'",
                stacklevel=2,
            )
        if build is None and options.granularity == "channel":
            form, build = self._agreed(folded, pruner, form)
        form = self.form = form or PLAIN
        self.evaluator = Evaluator(
            RecoveredNetwork(build, channel_graph(task), form=form, **like)
            if build is not None
            else SwappedNetwork(folded, pruner, form=form, **like),
            task.reward.first(n),
            size=batch_size(graph, n, like["device"].type),
            device=like["device"],
            precision=options.precision,
            channels_last=form.channels_last,
        )

    def _agreed(
        self, folded: nn.Module, pruner: TensorSource, form: Form | None
    ) -> tuple[Form | None, Build | None]:
        """The form of evaluation, and how to build networks where swapping tensors does not do.

        Half of each unit is kept, as the search does it and as ``compress`` does it, and compared.
        """
        counts, task = halves(self.graph), self.task
        made = calibration(task)

        def build(counts: Sequence[int]) -> nn.Module:
            return recovery.recover(self.kept(counts), self.steps, made)

        if form is None:
            return PLAIN, build
        images = task.reward.batch(slice(VERIFIED)).to(next(task.model.parameters()).device)
        with torch.inference_mode():
            expected = build(counts)(images)
        assert isinstance(pruner, Pruner)
        if agrees(folded, pruner, form, counts, images, expected, REFITTED_TOLERANCE):
            return form, None
        logger.warning("%s: each plan is re-fitted anew", type(task.model).__name__)
        return form, build

    def _decide_channels(
        self, task: CompressionTask, folded: nn.Module, folded_graph: ChannelGraph
    ) -> tuple[TensorSource, Build | None]:
        """Tensors of a plan, and how to build its network where swapping them does not do."""
        self.graph = channel_graph(task)
        self.costs = {resource: CostModel(self.graph, resource) for resource in RESOURCES}
        importance, steps = self.options.importance, self.steps
        refits = any(step.name == "reconstruct" for step in steps)
        own = callable(importance)  # a user's function is given everything
        statistics = calibrate(task) if refits or own or importance in NEEDS_GRAM else {}
        orders = rank(
            task.model,
            self.graph,
            statistics,
            importance,
            saliency(task) if own or importance in NEEDS_SALIENCY else None,
        )
        pruner = Pruner(folded, folded_graph, orders, statistics if refits else {})
        self._pruner = pruner
        if all(step.name in recovery.SWAPPABLE for step in steps):
            return pruner, None
        made = calibration(task)
        return pruner, lambda counts: recovery.recover(pruner.kept(counts), steps, made)

    def _decide_weights(
        self, task: CompressionTask, folded: nn.Module, folded_graph: ChannelGraph
    ) -> tuple[TensorSource, Build | None]:
        """The same for weight pruning."""
        self.graph = weight_graph(task.model, channel_graph(task))
        self.costs = {r: SparseCost(task.model, self.graph, r) for r in RESOURCES}
        pruner = sparse_pruner(task.model, folded, folded_graph)
        if not self.steps:
            return pruner, None
        steps, made = self.steps, calibration(task)

        def build(counts: Sequence[int]) -> nn.Module:
            network = sparse(task.model, self._by_name(counts))
            return recovery.recover_as_built(network, steps, made)

        return pruner, build

    def _by_name(self, counts: Sequence[int]) -> dict[str, int]:
        return {unit.name: n for unit, n in zip(self.graph.units, counts, strict=True)}

    def kept(self, counts: Sequence[int]) -> Kept:
        """Channels of each unit that a plan of these counts keeps, ascending."""
        return self._pruner.kept(counts)

    def errors(self, *curvatures: float) -> list[list[np.ndarray]]:
        """What layers lose when a unit keeps k channels, unit by unit for each curvature.

        See ``Pruner.errors``.

        It costs no evaluation: only the calibration statistics are asked, whatever the recovery.

        Args:
            curvatures: what powers of the loss's sensitivity to a layer's output its error is
                weighted by.  0: relative errors, all layers alike; 1: the expected rise of the loss
                to second order, which is right for small errors of single layers.

        Raises:
            ValueError: single weights are pruned.
        """
        if self.options.granularity == "weight":
            raise ValueError("reconstruction errors belong to channels, not to single weights")
        pruner = self._pruner
        if not any(step.name == "reconstruct" for step in self.steps):
            pruner = Pruner(self.task.model, self.graph, pruner.orders, calibrate(self.task))
        grams = measure(self.task)
        return [
            pruner.errors(
                grams,
                {name: s**power for name, s in sensitivity(self.task).items()} if power else None,
            )
            for power in curvatures
        ]

    def decisions(self, counts: Sequence[int]) -> dict[str, Any]:
        """What a plan of these counts says: ``kept`` channels by unit, or ``weights`` by layer."""
        if self.options.granularity == "weight":
            return {"kept": {}, "weights": self._by_name(counts)}
        kept = zip(self.graph.units, self.kept(counts), strict=True)
        return {"kept": {unit.name: tuple(channels.tolist()) for unit, channels in kept}}


@Remembered
def engine(task: CompressionTask, options: EngineOptions) -> Engine:
    """The engine of a task, shared by every environment in the process."""
    return Engine(task, options)


def belongings(made: Engine) -> list[tuple[Remembered[[CompressionTask], Any], Any]]:
    """What an engine takes along to another process: functions of its task, and their results.

    Those it goes on asking for after it was made, computed now if need be.
    """
    task, names = made.task, {step.name for step in made.steps}
    found: list[tuple[Remembered[[CompressionTask], Any], Any]]
    found = [(channel_graph, channel_graph(task))]
    if not names <= recovery.SWAPPABLE:  # a network is built and recovered for each plan
        found.append((calibration, calibration(task)))
        if "reconstruct" in names:
            found.append((calibrate, calibrate(task)))
        if names & recovery.IN_SEQUENCE.keys():
            _ = calibration(task).targets  # goes along with it
    return found
