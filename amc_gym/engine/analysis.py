"""The analysis of a task: facts about its network and calibration images, computed once."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor, nn

from amc_gym._utils.nests import Nest, nbytes, placed
from amc_gym._utils.progress import counter
from amc_gym.compression.evaluation.form import FORMS, PLAIN, Form
from amc_gym.compression.evaluation.parallel import torch_threads
from amc_gym.compression.graph import ChannelGraph, Layer
from amc_gym.compression.pruning.agreement import fastest_form
from amc_gym.compression.ranking.sensitivity import sensitivities
from amc_gym.compression.recovery.statistics import can_refit, grams, only_measurable, saliencies
from amc_gym.compression.recovery.targets import Targets
from amc_gym.compression.tracing import trace
from amc_gym.engine.statistics_cache import SMALLEST, cached
from amc_gym.tasks.objectives.classification import CrossEntropy
from amc_gym.tasks.task import CompressionTask
from amc_gym.training.loop import finetune_steps

logger = logging.getLogger(__name__)

T = TypeVar("T")

BATCH, BATCH_BYTES = 128, 32 * 2**20
"""Calibration images of one pass: at most so many, and as many as take so many bytes as floats.

The pass of MobileNet at 224 x 224 over 128 images holds 600 MB of activations.
"""

VERIFIED = 2
"""Images on which slim and masked networks are compared; more than one, to test batches."""

SENSITIVITY_IMAGES = 512
"""Images for sensitivities: fewer than for Gram matrices, as there is one number per layer."""


class Analysis:
    """Graph and statistics of one task, each computed when it is first asked for.

    Rankings, recoveries and prunings receive it as ``pruning.Statistics``.

    Args:
        task: what is compressed; neither its network nor its images are ever changed.
    """

    def __init__(self, task: CompressionTask) -> None:
        self.task = task

    @property
    def model(self) -> nn.Module:
        """The original network, in eval mode."""
        return self.task.model

    @property
    def device(self) -> torch.device:
        """Device of the original network."""
        return next(self.model.parameters()).device

    @property
    def few(self) -> Nest:
        """Inputs of a few reward samples on the network's device, to compare networks on.

        There are ``VERIFIED`` of them, or all samples of a smaller split.
        """
        return placed(self.task.reward.batch(slice(VERIFIED)), self.device)

    @cached_property
    def graph(self) -> ChannelGraph:
        """The verified channel graph of the network.

        Raises:
            GraphError: the network cannot be compressed.
        """
        return trace(self.model, self.few, self.task.part)

    @cached_property
    def form(self) -> Form | None:
        """The fastest form in which slim networks can be evaluated, see ``fastest_form``."""
        form = fastest_form(self.model, self.graph, self.few, self.task.part)
        if form != FORMS[0]:
            logger.warning(
                "%s is evaluated %s: its fastest form computes something else",
                type(self.model).__name__,
                "by building each plan's network" if form is None else f"with {form}",
            )
        return form

    @cached_property
    def grams(self) -> dict[str, Tensor]:
        """Gram matrices of the inputs of layers that can be re-fitted, by layer name.

        Each is (groups, columns, columns) float64, see ``statistics.grams``.
        """
        return self._grams("grams", can_refit)

    @cached_property
    def measured(self) -> dict[str, Tensor]:
        """Gram matrices of layers with too few calibration samples to be re-fitted."""
        images = len(self.task.calibration)
        wanted = (only_measurable(layer, images) for layer in self.graph.layers.values())
        return self._grams("measured", only_measurable) if any(wanted) else {}

    def _grams(self, name: str, wanted: Callable[[Layer, int], bool]) -> dict[str, Tensor]:
        form, n = self.form or PLAIN, len(self.task.calibration)

        def made() -> dict[str, Tensor]:
            folded, _ = form.fold(self.model, self.graph)
            return grams(
                self.model,
                self.graph,
                self._watched(self.images(), "statistics of the layers"),
                n_images=n,
                fast=form.lay_out(folded, self.device, torch.float32),
                lay=form.lay,
                wanted=wanted,
            )

        layers = [layer for layer in self.graph.layers.values() if wanted(layer, n)]
        depends = f"{form} {self._batch} {[layer.name for layer in layers]}"
        return cached(name, self.task, depends, made)

    @cached_property
    def targets(self) -> Targets:
        """Original outputs at sampled positions, for sequential reconstruction.

        Computed on one thread, so that they do not depend on what asks for them first.
        """
        with torch_threads(1):
            return Targets(self.model, self.graph, self.images())

    @cached_property
    def saliency(self) -> tuple[Tensor, ...]:
        """First-order Taylor importance of each unit's channels, (channels,) each."""

        def made() -> dict[str, Tensor]:
            batches = self._watched(self._batches(), "importance of the channels")
            found = saliencies(self.model, self.graph, batches, self.task.objective.summed)
            return {str(index): each for index, each in enumerate(found)}

        found = self._of_loss("saliency", made)
        return tuple(found[str(index)] for index in range(len(self.graph.units)))

    @cached_property
    def sensitivity(self) -> dict[str, float]:
        """Sensitivity of the loss to each layer's output, on the first calibration images."""
        most = -(-SENSITIVITY_IMAGES // self._batch)

        def made() -> dict[str, Tensor]:
            batches = self._watched(self._batches(), "sensitivity of the loss", most)
            loss = self.task.objective.expected
            found = sensitivities(self.model, self.graph, batches, loss=loss)
            return {name: torch.tensor(each, dtype=torch.float64) for name, each in found.items()}

        found = self._of_loss("sensitivity", made)
        return {name: float(each) for name, each in found.items()}

    def _of_loss(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return statistics of the loss's gradients, cached on disk if the loss has a name.

        A user's own loss function may change without its name changing.
        """
        loss = self.task.objective.loss
        if not isinstance(loss, CrossEntropy):
            return make()
        return cached(name, self.task, f"{loss} {self._batch} {list(self.graph.layers)}", make)

    def _watched(self, batches: Iterable[T], what: str, most: int | None = None) -> Iterator[T]:
        """Yield batches with a progress bar if they take long, and log the time they took."""
        begun, calibration = time.perf_counter(), self.task.calibration
        total = -(-len(calibration) // self._batch)
        with counter(shown=calibration.nbytes >= SMALLEST and sys.stderr.isatty()) as bar:
            total = total if most is None else min(most, total)
            yield from bar.track(islice(batches, total), total, description=what)
        logger.info("%s: %.1f s", what, time.perf_counter() - begun)

    def images(self) -> Iterator[Nest]:
        """Yield calibration inputs on the network's device, such as images (B, C, H, W)."""
        return (images for images, _ in self._batches())

    def finetune(self, network: nn.Module, steps: int) -> nn.Module:
        """Return the network after some steps of training on the calibration images."""
        return finetune_steps(network, self.task.calibration, steps, self.task.objective)

    @cached_property
    def _batch(self) -> int:
        """Calibration images of one pass."""
        one = nbytes(self.task.calibration.batch(slice(1)))
        return max(1, min(BATCH, BATCH_BYTES // one))

    def _batches(self) -> Iterator[tuple[Nest, Nest]]:
        """Yield calibration inputs and targets on the network's device."""
        device = self.device
        return (
            (placed(inputs, device), placed(targets, device))
            for inputs, targets in self.task.calibration.batches(self._batch)
        )
