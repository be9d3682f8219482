"""Losses and scores of the user's own: functions, and metrics that collect."""

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
    """Return an objective of the user's own.

    Args:
        loss: a function (outputs, targets) -> the mean loss of a batch, a scalar with gradient.
        score: (outputs, targets) -> a number in [0, 1] for each sample, (N,), whose mean counts;
            or one number, of all outputs and targets of a pass.  Or a metric that collects, with
            ``update(outputs, targets)``, ``compute()`` and ``reset()``, as torchmetrics has them;
            or a ``Score``.
        name: of the score; by default where the function is.
        asks_targets: as of ``Objective``.

    Raises:
        TypeError: they are something else.
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
    """A function as a loss."""

    function: Callable[[Any, Any], Tensor]

    def __call__(self, outputs: Nest, targets: Nest) -> Tensor:
        """Call it.

        Raises:
            ValueError: it returns no scalar.
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
    """A function as a score.

    Attributes:
        function: of outputs and targets.
        whole: whether it gives one number for a whole pass, rather than one for each sample;
            ``None``: as it turns out.
    """

    function: Callable[[Any, Any], Any]
    whole: bool | None = None

    def settled(self, outputs: Nest, targets: Nest) -> OwnScore:
        """Return the score once it is known whether it gives one number, or one for each sample.

        Raises:
            ValueError: it gives neither.
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
        """The sum over a batch and its samples; or outputs and targets, if all are to be seen."""
        if self.whole is None:
            return self.settled(outputs, targets).accumulate(outputs, targets)
        if self.whole:
            return mapped(Tensor.cpu, outputs), mapped(Tensor.cpu, targets)
        found, n = self.function(outputs, targets), samples(targets)
        if not isinstance(found, Tensor) or found.shape != (n,):
            raise ValueError(
                f"the score {qualified(self.function)} must go on to return one number for each "
                f"of {n} samples, not {described(found)}"
            )
        found = found.double()
        bad = ~((found >= 0) & (found <= 1))  # NaN among them
        if bad.any():
            raise ValueError(
                f"the score {qualified(self.function)} gives a sample {float(found[bad][0])}: its "
                "numbers must be in [0, 1], higher for better outputs"
            )
        return float(found.sum()), n

    def finish(self, parts: Sequence[Any]) -> float:
        """Return the mean over the samples, or the function of everything."""
        first, others = zip(*parts, strict=True)
        if isinstance(first[0], float):
            return sum(first) / sum(others)
        with torch.inference_mode():
            return self.function(joined(first), joined(others))


@dataclass(frozen=True, eq=False)
class OwnMetric(Score):
    """A metric that collects, such as torchmetrics': updated with each batch, then computed."""

    metric: Any

    def accumulate(self, outputs: Nest, targets: Nest) -> Any:
        """Keep the batch: a metric is updated with one after the other."""
        return mapped(Tensor.cpu, outputs), mapped(Tensor.cpu, targets)

    def finish(self, parts: Sequence[Any]) -> float:
        """Update a copy with every batch, and compute."""
        metric = copy.deepcopy(self.metric)
        metric.reset()
        for outputs, targets in parts:
            metric.update(outputs, targets)
        return metric.compute()
