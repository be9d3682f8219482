"""Gradients of one batch, launched kernel by kernel or replayed from a CUDA graph.

Small networks keep a GPU waiting: a step of ResNet-56 is some thousand kernels of a few
microseconds each, and launching one takes longer than that.  A graph launches them all at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor, nn

from amc_gym.training.recipe import Recipe, training_loss, uses_bf16

ForwardBackward = Callable[[Tensor, Tensor], Tensor]
"""(images, labels) -> loss, a scalar on their device; the model's parameters have its gradients."""

WARM_UP = 3
"""Passes before a recording, in which libraries choose algorithms and allocate what they keep."""


class Gradients:
    """The plain step.

    Args:
        model: maps images ``(N, C, H, W)`` to logits ``(N, classes)``.
        teacher: whose answers count, for recipes with distillation.
        recipe: says the loss and the precision.
    """

    def __init__(self, model: nn.Module, teacher: nn.Module | None, recipe: Recipe) -> None:
        self.model = model
        self._teacher = teacher
        self._recipe = recipe
        self._precision = _autocast(model, recipe)
        self._teachers_precision = _autocast(model if teacher is None else teacher, recipe)

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """See ``ForwardBackward``."""
        self.model.zero_grad()
        with self._precision:
            logits = self.model(images)
        taught = None
        if self._teacher is not None:
            with torch.no_grad(), self._teachers_precision:
                taught = self._teacher(images).float()
        loss = training_loss(logits.float(), labels, taught, self._recipe)
        loss.backward()
        return loss.detach()


class Recorded:
    """A step as a CUDA graph, for batches of the shape that it was recorded with.

    The gradients are the graph's own memory: whoever replaces the parameters' ``grad`` between two
    steps gets no further ones.

    Args:
        step: the plain one, of a model on a GPU.
        images: any batch, in the memory format of the later ones.
        labels: theirs.

    Raises:
        RuntimeError: the model waits for the GPU in its pass, which no graph can.
    """

    def __init__(self, step: Gradients, images: Tensor, labels: Tensor) -> None:
        self._images, self._labels = images.clone(), labels.clone()
        kept = [(buffer, buffer.clone()) for buffer in step.model.buffers()]
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                step(self._images, self._labels)
        torch.cuda.current_stream().wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        step.model.zero_grad()
        try:
            with torch.cuda.graph(self._graph):
                self._loss = step(self._images, self._labels)
        finally:
            with torch.no_grad():
                for buffer, value in kept:  # statistics of norms: no batch has been seen yet
                    buffer.copy_(value)

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """See ``ForwardBackward``; the next call writes over the loss."""
        self._images.copy_(images)
        self._labels.copy_(labels)
        self._graph.replay()
        return self._loss


def fastest(step: Gradients, images: Tensor, labels: Tensor) -> ForwardBackward:
    """The step as a graph if the images are on a GPU and the model can be recorded."""
    if images.device.type == "cuda":
        with contextlib.suppress(RuntimeError):
            return Recorded(step, images, labels)
    return step


def _autocast(network: nn.Module, recipe: Recipe) -> torch.autocast:
    """The precision that is fast for a network, or that the recipe names."""
    device = next(network.parameters()).device
    return torch.autocast(device.type, torch.bfloat16, enabled=uses_bf16(recipe, network))
