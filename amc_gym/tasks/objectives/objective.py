"""Objectives: a loss to train by, and a score in [0, 1] to judge by.

Both are functions of a network's outputs and the targets of a batch, each of them any nest of
tensors (``amc_gym._utils.nests``).  A score is collected over a whole pass: a batch may contribute
anything, and the result need not be a mean over batches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from amc_gym._utils.nests import Nest, called, leaves, samples
from amc_gym.compression.evaluation.hits import METRICS


class Loss(ABC):
    """A loss to train by, a mean over the samples of a batch."""

    distils: ClassVar[bool] = True
    """Whether ``distilled`` is defined, so that a network can learn from a teacher's outputs."""

    @abstractmethod
    def __call__(self, outputs: Nest, targets: Nest) -> Tensor:
        """Return the mean loss of a batch, a scalar with gradient."""

    def total(self, outputs: Nest, targets: Nest) -> Tensor:
        """Return the sum over the samples."""
        return self(outputs, targets) * samples(targets)

    def smoothed(self, amount: float) -> Loss:
        """Return the loss with labels smoothed.

        Raises:
            ValueError: its targets are not classes.
        """
        if amount:
            raise ValueError(
                f"label_smoothing={amount} needs targets that are classes: leave it at 0"
            )
        return self

    def distilled(self, outputs: Nest, teacher_outputs: Nest, temperature: float) -> Tensor:
        """Return the squared error to a teacher's outputs, as a share of the teacher's variance."""
        pairs = zip(leaves(outputs), leaves(teacher_outputs), strict=True)
        floats = [(one, other) for one, other in pairs if other.is_floating_point()]
        tiny = torch.finfo(torch.float32).tiny
        errors = [
            (one - other).square().mean() / other.var(correction=0).clamp_min(tiny)
            for one, other in floats
        ]
        return torch.stack(errors).mean()

    def drawn(self, outputs: Nest, generator: torch.Generator) -> Nest | None:
        """Draw targets from the network's own predictions; ``None`` where that is not defined."""
        return None


class Score(ABC):
    """A score in [0, 1] of a whole pass."""

    accuracy: ClassVar[bool] = False
    """Whether the score is the share of correctly classified samples."""

    def settled(self, outputs: Nest, targets: Nest) -> Score:
        """Return the score adapted to a batch of the task; the score itself by default.

        Raises:
            ValueError: it is not defined for such outputs and targets.
        """
        return self

    @abstractmethod
    def accumulate(self, outputs: Nest, targets: Nest) -> Any:
        """Evaluate one batch; several batches may be evaluated at the same time."""

    @abstractmethod
    def finish(self, parts: Sequence[Any]) -> float:
        """Return the score of a pass from the results of its batches, in order."""


@dataclass(frozen=True)
class Objective:
    """A loss to train by, and a score in [0, 1] to judge by.

    Attributes:
        loss: for fine-tuning, Taylor importance and sensitivities.
        score: for rewards, validation and tests.
        name: of the score, in options, plans and reports.
        asks_targets: whether the network computes its losses itself: in training mode it is called
            with the targets after its inputs, as torchvision's detectors are, and the loss receives
            what it returns.
        lists: whether targets stay a list with one entry per sample, even where shapes agree.
    """

    loss: Loss
    score: Score
    name: str
    asks_targets: bool = False
    lists: bool = False

    @property
    def classifies(self) -> bool:
        """Whether outputs are logits (N, classes) and targets classes (N,)."""
        return self.score.accuracy

    def answers(self, network: nn.Module, inputs: Nest, targets: Nest) -> Any:
        """Return what the loss takes: the network's outputs, or the losses it computes itself."""
        return called(network, inputs, *([targets] if self.asks_targets else []))

    def summed(self, network: nn.Module, inputs: Nest, targets: Nest) -> Tensor:
        """Return the loss of a network in eval mode, summed over the samples of a batch."""
        with self.losing(network):
            return self.loss.total(self.answers(network, inputs, targets), targets)

    def expected(
        self, network: nn.Module, inputs: Nest, targets: Nest, generator: torch.Generator
    ) -> Tensor:
        """Return the summed loss for targets drawn from the network's predictions, if defined."""
        with self.losing(network):
            outputs = self.answers(network, inputs, targets)
            drawn = self.loss.drawn(outputs, generator)
            return self.loss.total(outputs, targets if drawn is None else drawn)

    def by(self, metric: str | None) -> Objective:
        """Return the objective with the score "top1" or "top5"; ``None`` leaves it unchanged.

        Raises:
            ValueError: it is not an objective of classification.
        """
        if metric in (None, self.name):
            return self
        if not self.classifies:
            raise ValueError(
                f"metric={metric!r} is only for tasks that classify, and this one is judged by "
                f"{self.name!r}: leave metric out"
            )
        return replace(self, score=replace(self.score, k=METRICS[metric]), name=metric)  # type: ignore[index, type-var]

    @contextmanager
    def losing(self, network: nn.Module) -> Iterator[None]:
        """Let a network in eval mode return what the loss needs; its norms stay in eval mode."""
        if not self.asks_targets:
            yield
            return
        changed = [
            module
            for module in network.modules()
            if not (module.training or isinstance(module, _NormBase | _DropoutNd))
        ]
        try:
            for module in changed:
                module.training = True
            with torch.random.fork_rng(devices=[]):  # detectors sample proposals
                torch.manual_seed(0)
                yield
        finally:
            for module in changed:
                module.training = False
