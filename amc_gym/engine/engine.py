"""The engine ranks, re-fits and evaluates the plans of a task, for all its environments."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.machine import device_of
from amc_gym.compression.cost import REPORTED, RESOURCES, Cost, ResourceLike, resource_of
from amc_gym.compression.evaluation.batch_size import batch_size, plans_per_pass
from amc_gym.compression.evaluation.evaluator import (
    PRECISIONS,
    Batches,
    Evaluator,
    NetworkSource,
)
from amc_gym.compression.evaluation.form import PLAIN, Form
from amc_gym.compression.evaluation.precision import has_bf16
from amc_gym.compression.evaluation.scoring import Scored
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.pruning.agreement import agrees, outputs_at, uneven
from amc_gym.compression.pruning.candidates import (
    RecoveredNetwork,
    SwappedNetwork,
    TensorSource,
)
from amc_gym.compression.pruning.pruner import Pruner
from amc_gym.compression.pruning.resident import ResidentNetwork
from amc_gym.compression.pruning.rounded import in_rounded_widths
from amc_gym.engine import ablation
from amc_gym.engine.analysis import Analysis
from amc_gym.engine.options import AUTO, EngineOptions
from amc_gym.engine.resident import resident_network, score_alike
from amc_gym.tasks.task import CompressionTask

logger = logging.getLogger(__name__)

REFITTED_TOLERANCE = 1e-2
"""Tolerance between two solutions of a least-squares problem, as a share of the largest output."""


By = float | Literal["outputs"]
"""Kind of errors: of layers, weighted by this power of the loss's sensitivity, or of outputs."""


class Engine:
    """The machinery that ranks, re-fits and evaluates one task under one set of options.

    Args:
        analysis: of the task; engines with other options share it.
        options: how networks are made and evaluated.

    Attributes:
        pruning: decides, counts and builds.
        evaluator: scores counts on the reward images.
        objective: what plans are scored by.
        reward_images: number of reward images.
        form: form in which networks are evaluated.
        precision: of the evaluation, "float32" or "bf16".

    Raises:
        ValueError: there are fewer reward images than the options ask for, too few classes for
            "top5", or a metric of classes for a task without classes.
        GraphError: the network cannot be compressed.
    """

    @recorded
    def __init__(self, analysis: Analysis, options: EngineOptions) -> None:
        task = analysis.task
        n = self.reward_images = options.reward_images or len(task.reward)
        if n > len(task.reward):
            raise ValueError(
                f"reward_images={n}, but the task has only {len(task.reward)}: choose at most as "
                "many, or None for all"
            )
        self.objective = task.objective.by(options.metric)
        if self.objective.name == "top5" and task.classes <= 5:
            raise ValueError(
                f"metric='top5' counts every output as right with only {task.classes} classes: "
                "choose metric='top1'"
            )
        if task.part and options.granularity != "channel":
            raise ValueError(
                f"weights of part {task.part!r} alone cannot be pruned: choose "
                "granularity='channel', or make a task of that part"
            )
        self.analysis, self.options = analysis, options
        self._errors: dict[By, list[np.ndarray]] = {}
        folded, graph = (analysis.form or PLAIN).fold(task.model, analysis.graph)
        self.pruning = options.pruning(analysis, options.importance, options.chain)
        source = self.pruning.source(folded, graph)
        self._device, form = device_of(options.device), analysis.form
        _warn_of_slow_arithmetic(options.precision, self._device)
        self.precision = "float32" if options.precision == AUTO else options.precision
        self.form = form or PLAIN
        resident = self._resident(folded, source, form)
        self.evaluator = self._evaluator(resident or self._candidates(folded, source, form), n)
        if resident is not None and options.precision == AUTO and has_bf16(self._device):
            self._take_bf16(folded, source)

    @property
    def _like(self) -> dict[str, Any]:
        return {"device": self._device, "dtype": PRECISIONS[self.precision]}

    def _evaluator(self, network: NetworkSource, n: int) -> Evaluator:
        """Return the evaluator of a source's networks on the first ``n`` reward images."""
        return Evaluator(
            network,
            self.task.reward.first(n),
            self.objective.score,
            size=batch_size(self.graph, n, self._device.type),
            device=self._device,
            precision=self.precision,
            channels_last=self.form.channels_last,
            stored=isinstance(network, ResidentNetwork),
        )

    def _take_bf16(self, folded: nn.Module, source: TensorSource) -> None:
        """Switch the evaluation to bf16, if a few plans score as they do in float32."""
        assert isinstance(source, Pruner)
        exact, self.precision = self.evaluator, "bf16"
        assert isinstance(exact.network, ResidentNetwork)
        network = ResidentNetwork(
            folded,
            source,
            form=self.form,
            images=self.task.reward,
            plans_per_pass=exact.network.plans_per_pass,
            **self._like,
        )
        network.why_single = exact.network.why_single
        low = self._evaluator(network, self.reward_images)
        if score_alike(exact, low, self.graph):
            self.evaluator = low
            return
        self.precision = "float32"
        logger.warning("%s scores otherwise in bf16: using float32", type(self.task.model).__name__)

    def _resident(
        self, folded: nn.Module, source: TensorSource, form: Form | None
    ) -> ResidentNetwork | None:
        """Return the resident network, if candidates are evaluated on one.

        Raises:
            ValueError: ``evaluation="resident"`` is asked for but the network does not allow it.
        """
        asked, pruning = self.options.evaluation, self.pruning
        wanted = asked == "resident" or (asked == AUTO and self._device.type == "cuda")
        if not wanted or pruning.per_plan or not isinstance(source, Pruner):
            return None
        batch = batch_size(self.graph, self.reward_images, self._device.type)
        several = plans_per_pass(self.graph, batch, self._device)
        given = (self.analysis, pruning, folded, source, form)
        try:
            return resident_network(*given, **self._like, plans_per_pass=several)
        except ValueError as error:
            why = f"{type(self.task.model).__name__} cannot be evaluated resident: {error}"
            if asked == "resident":
                raise ValueError(f"{why}; choose evaluation='auto' or 'slim'") from error
            logger.warning("%s: plans are evaluated as slim networks", why)
            return None

    def _candidates(
        self, folded: nn.Module, source: TensorSource, form: Form | None
    ) -> SwappedNetwork | RecoveredNetwork:
        """Return what makes slim networks: by swapping tensors where that computes the same."""
        agreed: TensorSource | None = None if self.pruning.per_plan else source
        if isinstance(agreed, Pruner):
            agreed = self._agreed(folded, agreed, form)
        if agreed is not None:
            return SwappedNetwork(folded, agreed, form=self.form, **self._like)
        build, graph = self.pruning.build, self.analysis.graph
        return RecoveredNetwork(build, graph, form=self.form, **self._like)

    def _agreed(self, folded: nn.Module, pruner: Pruner, form: Form | None) -> TensorSource | None:
        """Return the tensors that give, swapped in, what building the network gives.

        In rounded widths where these do; ``None`` if each plan has to be built.  One plan is tried,
        as the search evaluates it and as ``compress`` builds it.
        """
        if form is None:
            return None
        counts, images, part = uneven(self.graph), self.analysis.few, self.task.part
        expected = outputs_at(self.pruning.build(counts), images, part)
        for source in in_rounded_widths(folded, pruner), pruner:
            if source is not None and agrees(
                folded, source, form, counts, images, expected, REFITTED_TOLERANCE, part
            ):
                return source
        logger.warning("%s: the network of each plan is built anew", type(self.task.model).__name__)
        return None

    @property
    def task(self) -> CompressionTask:
        """The task that is compressed."""
        return self.analysis.task

    @property
    def graph(self) -> ChannelGraph:
        """Channel graph of the original network: its units and layers."""
        return self.pruning.graph

    @cached_property
    def costs(self) -> Mapping[str, Cost]:
        """Cost models "macs" and "params", which every plan states."""
        return {name: self.pruning.cost(RESOURCES[name]) for name in REPORTED}

    @property
    def evaluation(self) -> str:
        """Description of how plans are evaluated, and why one at a time if so."""
        network = self.evaluator.network
        if not isinstance(network, ResidentNetwork):
            return "slim networks"
        if network.why_single:
            return f"one resident network, one plan at a time: {network.why_single}"
        return f"one resident network, up to {network.plans_per_pass} plans in a pass"

    def evaluate(self, plans: Sequence[Sequence[int]]) -> list[Scored]:
        """Return the score of each plan, in order; the same as when evaluated one by one.

        Plans are evaluated in parallel, on several cores or in one pass; each counts as an
        evaluation and is remembered.

        Args:
            plans: counts of each unit, (P, T); admissible, but not necessarily within the budget.

        Raises:
            ValueError: a score is not a number in [0, 1].
        """
        return self.evaluator.many(plans)

    def cost(self, resource: ResourceLike) -> Cost:
        """Return the cost model of a resource.

        Raises:
            ValueError: it does not depend on what the granularity decides, or decreases somewhere
                when a unit grows.
        """
        resource = resource_of(resource)
        return self.costs.get(resource.name) or self.pruning.cost(resource)

    @recorded
    def errors(self, *by: By) -> list[list[np.ndarray]]:
        """Return errors when a unit keeps k channels, for each kind in ``by`` unit by unit.

        See ``Pruner.errors`` and ``ablation.curves``.

        This needs no evaluation: errors of layers come from the calibration statistics alone, for
        any recovery; for errors of outputs see ``ablations``.  The arrays are cached and must not
        be changed.

        Args:
            by: kinds of errors.  A number is the power of the loss's sensitivity that weights the
                error of a layer's output: 0 gives relative errors, the same for all layers; 1 the
                expected increase of the loss to second order, which is right for small errors of
                single layers.  "outputs" gives relative errors of the network's outputs.

        Raises:
            ValueError: the granularity is "weight", or outputs cannot be compared.
        """
        new = [each for each in by if each not in self._errors]
        powers = [each for each in new if not isinstance(each, str)]
        if powers:
            self._errors |= dict(zip(powers, self.pruning.errors(powers), strict=True))
        if "outputs" in new:
            self._errors["outputs"] = ablation.curves(self.ablations, self.graph.full)
        return [self._errors[each] for each in by]

    @cached_property
    @recorded
    def ablations(self) -> np.ndarray:
        """Return errors of the outputs when a single unit is pruned, (T, shares) float64.

        See ``ablation.ablations``.  Measuring takes a pass over at most ``ablation.IMAGES``
        calibration images for each unit and share, once for all budgets.

        Raises:
            ValueError: the granularity is "weight", or outputs cannot be compared.
        """
        if self.options.granularity != "channel":
            raise ValueError("only channels can be ablated: choose granularity='channel'")
        few = self.task.calibration.first(min(ablation.IMAGES, len(self.task.calibration)))
        size = batch_size(self.graph, len(few), self._device.type)
        batches = Batches(few, size, **self._like, channels_last=self.form.channels_last)
        return ablation.ablations(self.evaluator.network, self.graph.full, batches, self.task.part)

    def decisions(self, counts: Sequence[int]) -> dict[str, Any]:
        """Return the decisions of a plan: ``kept`` by unit, or ``weights`` by layer."""
        return self.pruning.decisions(counts)

    def prepare(self) -> frozenset[str]:
        """Compute everything that evaluations need, before the first one.

        Returns:
            Names of the statistics that evaluations will use.
        """
        needs = {"graph"}
        if self.pruning.per_plan:
            needs |= self.options.chain.needs
        for name in sorted(needs):
            getattr(self.analysis, name)
        return frozenset(needs)


def _warn_of_slow_arithmetic(precision: str, device: torch.device) -> None:
    if precision == "bf16" and not has_bf16(device):
        warnings.warn(
            f"this {device.type} has no bf16 arithmetic: an evaluation takes about ten times as "
            "long as with precision='float32'",
            stacklevel=3,
        )
