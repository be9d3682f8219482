"""What a task's network and its calibration images say before any decision, found out once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor

from amc_gym._utils.remembered import Remembered
from amc_gym.compression.evaluation.form import FORMS, PLAIN, Form
from amc_gym.compression.graph import ChannelGraph, Layer
from amc_gym.compression.pruning.agreement import fastest_form
from amc_gym.compression.ranking.sensitivity import sensitivities
from amc_gym.compression.recovery.statistics import can_refit, grams, only_measurable, saliencies
from amc_gym.compression.recovery.steps import Calibration
from amc_gym.compression.tracing import trace
from amc_gym.tasks.task import CompressionTask
from amc_gym.training.loop import finetune_steps

logger = logging.getLogger(__name__)

BATCH = 128

VERIFIED = 2
"""Images on which slim and masked network are compared: more than one, since batches are, too."""

SENSITIVITY_IMAGES = 512
"""Fewer than for Gram matrices: one number for each layer is asked of them."""


@Remembered
def channel_graph(task: CompressionTask) -> ChannelGraph:
    """The verified channel graph of a task's network.

    Raises:
        GraphError: the network cannot be compressed.
    """
    return trace(task.model, task.reward.batch(slice(VERIFIED)).to(_device(task)))


@Remembered
def fastest(task: CompressionTask) -> Form | None:
    """The fastest form in which slim networks of a task can be evaluated, see ``fastest_form``."""
    images = task.reward.batch(slice(VERIFIED)).to(_device(task))
    form = fastest_form(task.model, channel_graph(task), images)
    if form != FORMS[0]:
        logger.warning(
            "%s is evaluated %s: in the fastest form it computes something else",
            type(task.model).__name__,
            "by building each plan's network" if form is None else f"with {form}",
        )
    return form


@Remembered
def calibrate(task: CompressionTask) -> dict[str, Tensor]:
    """Gram matrices of a task's layers on its calibration images: those that are re-fitted."""
    return _grams(task, can_refit)


@Remembered
def measure(task: CompressionTask) -> dict[str, Tensor]:
    """The same of layers that have too few calibration samples to be re-fitted."""
    wanted = (
        only_measurable(layer, len(task.calibration))
        for layer in channel_graph(task).layers.values()
    )
    return _grams(task, only_measurable) if any(wanted) else {}


def _grams(task: CompressionTask, wanted: Callable[[Layer, int], bool]) -> dict[str, Tensor]:
    graph, form = channel_graph(task), fastest(task) or PLAIN
    folded, _ = form.fold(task.model, graph)
    fast = form.lay_out(folded, _device(task), torch.float32)
    n = len(task.calibration)
    return grams(
        task.model, graph, _images(task), n_images=n, fast=fast, lay=form.lay, wanted=wanted
    )


@Remembered
def calibration(task: CompressionTask) -> Calibration:
    """What the recovery of a task's slim networks may use."""
    return Calibration(
        task.model,
        channel_graph(task),
        lambda: calibrate(task),
        lambda: _images(task),
        lambda network, steps: finetune_steps(network, task.calibration, steps),
    )


@Remembered
def saliency(task: CompressionTask) -> tuple[Tensor, ...]:
    """First-order Taylor importance of a task's channels on its calibration images."""
    return saliencies(task.model, channel_graph(task), _batches(task))


@Remembered
def sensitivity(task: CompressionTask) -> dict[str, float]:
    """How much the loss reacts to each layer's output on the first calibration images."""
    batches = islice(_images(task), -(-SENSITIVITY_IMAGES // BATCH))
    return sensitivities(task.model, channel_graph(task), batches)


def _images(task: CompressionTask) -> Iterator[Tensor]:
    return (images for images, _ in _batches(task))


def _batches(task: CompressionTask) -> Iterator[tuple[Tensor, Tensor]]:
    """Calibration images, on the device of the task's network, and their labels."""
    device = _device(task)
    return ((images.to(device), labels) for images, labels in task.calibration.batches(BATCH))


def _device(task: CompressionTask) -> torch.device:
    return next(task.model.parameters()).device
