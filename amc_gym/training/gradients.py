"""Gradients of one batch, launched kernel by kernel or replayed from a CUDA graph.

Small networks leave a GPU idle: a step of ResNet-56 is some thousand kernels of a few microseconds
each, and launching one takes longer than that.  A graph launches all of them at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from amc_gym._utils.cuda_graph import warm_up
from amc_gym._utils.nests import Nest, called, device_of, leaves, mapped, placed
from amc_gym.tasks.objectives import Objective, classification
from amc_gym.training.optimization import training_loss, uses_bf16
from amc_gym.training.recipe import Recipe

ForwardBackward = Callable[[Nest, Nest], Tensor]
"""(inputs, targets) -> loss, a scalar on their device; sets the gradients of the parameters."""


class Gradients:
    """Loss and gradients of one batch, computed kernel by kernel.

    Args:
        model: maps images ``(N, C, H, W)`` to logits ``(N, classes)``, or whatever the objective
            expects.
        teacher: network to distil from, for recipes with distillation.
        recipe: precision, label smoothing, and the shares of the loss.
        objective: defines the loss.
    """

    def __init__(
        self,
        model: nn.Module,
        teacher: nn.Module | None,
        recipe: Recipe,
        objective: Objective | None = None,
    ) -> None:
        self.model = model
        self._objective = classification() if objective is None else objective
        self._teacher = teacher
        self._recipe = recipe
        self._precision = _autocast(model, recipe)
        self._teachers_precision = _autocast(model if teacher is None else teacher, recipe)

    def __call__(self, inputs: Nest, targets: Nest) -> Tensor:
        """Compute loss and gradients, see ``ForwardBackward``."""
        self.model.zero_grad()
        with self._precision:
            outputs = self._objective.answers(self.model, inputs, targets)
        teacher_outputs = None
        if self._teacher is not None:
            with torch.no_grad(), self._teachers_precision:
                teacher_outputs = placed(called(self._teacher, inputs), dtype=torch.float32)
        outputs = placed(outputs, dtype=torch.float32)
        loss = training_loss(outputs, targets, teacher_outputs, self._recipe, self._objective.loss)
        loss.backward()
        return loss.detach()


class Recorded:
    """Loss and gradients as a CUDA graph, for batches of the shape that it was recorded with.

    The gradients are memory of the graph: if the parameters' ``grad`` is replaced between two
    steps, later gradients are lost.

    Args:
        step: the plain step, of a model on a GPU.
        inputs: any batch, in the memory format of the later ones.
        targets: its targets.

    Raises:
        RuntimeError: the model waits for the GPU in its pass, which a graph cannot record.
    """

    def __init__(self, step: Gradients, inputs: Nest, targets: Nest) -> None:
        self._inputs, self._targets = mapped(Tensor.clone, inputs), mapped(Tensor.clone, targets)
        kept = [(buffer, buffer.clone()) for buffer in step.model.buffers()]
        warm_up(partial(step, self._inputs, self._targets))
        self._graph = torch.cuda.CUDAGraph()
        step.model.zero_grad()
        try:
            with torch.cuda.graph(self._graph):
                self._loss = step(self._inputs, self._targets)
        finally:
            with torch.no_grad():
                for buffer, value in kept:  # restores statistics of norms: no batch counts yet
                    buffer.copy_(value)

    def __call__(self, inputs: Nest, targets: Nest) -> Tensor:
        """Replay the graph, see ``ForwardBackward``; the next call overwrites the loss."""
        for mine, theirs in ((self._inputs, inputs), (self._targets, targets)):
            for kept, new in zip(leaves(mine), leaves(theirs), strict=True):
                kept.copy_(new)
        self._graph.replay()
        return self._loss


def fastest(step: Gradients, inputs: Nest, targets: Nest) -> ForwardBackward:
    """Return the step as a CUDA graph where that works, otherwise the plain step."""
    # Lists change shape with each batch, and networks that compute losses wait for the GPU.
    tensors = isinstance(inputs, Tensor) and isinstance(targets, Tensor)
    if tensors and device_of(inputs).type == "cuda":
        with contextlib.suppress(RuntimeError):
            return Recorded(step, inputs, targets)
    return step


def _autocast(network: nn.Module, recipe: Recipe) -> torch.autocast:
    """Return the autocast context of the precision that the recipe asks for."""
    device = next(network.parameters()).device
    return torch.autocast(device.type, torch.bfloat16, enabled=uses_bf16(recipe, network))
