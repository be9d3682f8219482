"""Losses and scores of your own: functions, and metrics that collect over a pass."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from amc_gym._utils.arguments import described, function
from amc_gym._utils.nests import Nest, joined, mapped, samples
from amc_gym._utils.own_code import qualified
from amc_gym.tasks.objectives.objective import Loss, Objective, Score

OUTPUTS, TARGETS = "outputs", "targets"


def own(loss: Any, score: Any, name: str | None = None, *, asks_targets: bool = False) -> Objective:
    """Return an objective made of your own loss and score.

    Args:
        loss: a function (outputs, targets) -> the mean loss of a batch, a scalar with gradient.
        score: (outputs, targets) -> a number in [0, 1] for each sample, (N,), whose mean counts;
            or one number for all outputs and targets of a pass.  Or a metric that collects, with
            ``update(outputs, targets)``, ``compute()`` and ``reset()``, as in torchmetrics; or a
            ``Score``.
        name: of the score; by default the function's qualified name.
        asks_targets: as in ``Objective``.

    Raises:
        TypeError: an argument is anything else.
    """
    made = score
    if not isinstance(score, Score):
        made = (
            OwnMetric(score)
            if _collects(score)
            else OwnScore(function("score", score, OUTPUTS, TARGETS))
        )
    if not isinstance(loss, Loss):
        loss = OwnLoss(function("loss", loss, OUTPUTS, TARGETS))
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise TypeError(f"name must be a word for the score, not {described(name)}")
    return Objective(loss, made, name or _named(score), asks_targets)


def _named(score: Any) -> str:
    return type(score).__name__ if _collects(score) else qualified(score)


def _collects(score: Any) -> bool:
    return not isinstance(score, type) and all(
        callable(getattr(score, method, None)) for method in ("update", "compute", "reset")
    )


@dataclass(frozen=True)
class OwnLoss(Loss):
    """A loss computed by a function."""

    function: Callable[[Any, Any], Tensor]

    def __call__(self, outputs: Nest, targets: Nest) -> Tensor:
        """Return the mean loss of a batch.

        Raises:
            ValueError: the function returns no scalar.
        """
        loss = self.function(outputs, targets)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise ValueError(
                f"the loss {qualified(self.function)} must return the mean over the batch, a "
                f"tensor with one number, not {described(loss)}"
            )
        return loss.reshape(())


@dataclass(frozen=True)
class OwnScore(Score):
    """A score computed by a function.

    Attributes:
        function: of outputs and targets.
        whole: whether it returns one number for a whole pass rather than one for each sample;
            ``None``: not known yet.
    """

    function: Callable[[Any, Any], Any]
    whole: bool | None = None

    def settled(self, outputs: Nest, targets: Nest) -> OwnScore:
        """Return the score after trying whether it gives one number or one for each sample.

        Raises:
            ValueError: it does neither.
        """
        found, n = self.function(outputs, targets), samples(targets)
        if not (isinstance(found, Tensor) and found.ndim):
            return replace(self, whole=True)
        if found.shape != (n,):
            raise ValueError(
                f"the score {qualified(self.function)} returns numbers of shape "
                f"{tuple(found.shape)} for {n} samples: return one for each, or one number for "
                "all outputs and targets of a pass"
            )
        return replace(self, whole=False)

    def accumulate(self, outputs: Nest, targets: Nest) -> Any:
        """Return sum and count of a batch's scores; or its outputs and targets, if ``whole``."""
        if self.whole is None:
            return self.settled(outputs, targets).accumulate(outputs, targets)
        if self.whole:
            return mapped(Tensor.cpu, outputs), mapped(Tensor.cpu, targets)
        found, n = self.function(outputs, targets), samples(targets)
        if not isinstance(found, Tensor) or found.shape != (n,):
            raise ValueError(
                f"the score {qualified(self.function)} must return one number for each of {n} "
                f"samples in every batch, not {described(found)}"
            )
        found = found.double()
        bad = ~((found >= 0) & (found <= 1))  # NaN among them
        if bad.any():
            raise ValueError(
                f"the score {qualified(self.function)} gives a sample {float(found[bad][0])}: "
                "return numbers in [0, 1], higher for better outputs"
            )
        return float(found.sum()), n

    def finish(self, parts: Sequence[Any]) -> float:
        """Return the mean over the samples, or the function's value for the whole pass."""
        first, others = zip(*parts, strict=True)
        if isinstance(first[0], float):
            return sum(first) / sum(others)
        with torch.inference_mode():
            return self.function(joined(first), joined(others))


@dataclass(frozen=True, eq=False)
class OwnMetric(Score):
    """A metric updated with each batch and computed at the end, such as torchmetrics'."""

    metric: Any

    def accumulate(self, outputs: Nest, targets: Nest) -> Any:
        """Keep the batch, because a metric is updated with one batch after the other."""
        return mapped(Tensor.cpu, outputs), mapped(Tensor.cpu, targets)

    def finish(self, parts: Sequence[Any]) -> float:
        """Update a copy of the metric with every batch, and compute it."""
        metric = copy.deepcopy(self.metric)
        metric.reset()
        for outputs, targets in parts:
            metric.update(outputs, targets)
        return metric.compute()
