"""Regression: squared errors, and the share of the variance that a network explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from amc_gym._utils.arguments import described, real
from amc_gym.tasks.objectives.objective import Loss, Objective, Score
from amc_gym.tasks.objectives.registry import register


@register
def regression(tolerance: float | None = None) -> Objective:
    """Return the objective of regression, with outputs and targets of one shape (N, ...).

    Args:
        tolerance: the score is the share of numbers that are off by at most this.  ``None``: the
            score is R2, the share of the targets' variance that is explained, at least 0; with
            several numbers per sample, the mean of theirs.

    Raises:
        TypeError: the tolerance is not a number.
        ValueError: it is not above 0.
    """
    if tolerance is None:
        return Objective(SquaredError(), Explained(), "R2")
    tolerance = real("tolerance", tolerance, above=0, otherwise=" or None for R2")
    return Objective(SquaredError(), Within(tolerance), f"within {tolerance:g}")


def paired(outputs: object, targets: object) -> tuple[Tensor, Tensor]:
    """Return outputs and targets as (N, numbers) each; (N,) and (N, 1) match.

    Raises:
        ValueError: they are not numbers of one shape.
    """
    if isinstance(outputs, Tensor) and isinstance(targets, Tensor) and len(outputs) == len(targets):
        ours, theirs = outputs.reshape(len(outputs), -1), targets.reshape(len(targets), -1)
        same = outputs.shape == targets.shape or ours.shape[1] == 1
        if same and ours.shape == theirs.shape and outputs.is_floating_point():
            return ours, theirs.to(ours.dtype)
    raise ValueError(
        f"regression needs outputs and targets of one shape, (N, ...), not {described(outputs)} "
        f"and {described(targets)}"
    )


@dataclass(frozen=True)
class SquaredError(Loss):
    """The mean squared error."""

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over samples and numbers."""
        return functional.mse_loss(*paired(outputs, targets))


@dataclass(frozen=True)
class Explained(Score):
    """R2, at least 0; outputs that are NaN explain nothing."""

    def accumulate(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return count, mean, squared deviations and squared errors, (4, numbers) float64."""
        ours, theirs = (each.double() for each in paired(outputs, targets))
        mean = theirs.mean(0)
        spread, errors = (theirs - mean).square().sum(0), (theirs - ours).square().sum(0)
        return torch.stack([torch.full_like(mean, len(theirs)), mean, spread, errors])

    def finish(self, parts: Sequence[Tensor]) -> float:
        """Return the mean over the numbers of each sample.

        Raises:
            ValueError: a target is the same for all samples.
        """
        n, means, spreads, errors = torch.stack([*parts]).unbind(1)  # (batches, numbers) each
        middle = (n * means).sum(0) / n.sum(0)
        spread = spreads.sum(0) + (n * (means - middle).square()).sum(0)
        if not bool((spread > 0).all()):
            raise ValueError(
                "R2 is not defined where a target is the same for all samples: leave that target "
                "out, or choose regression(tolerance=...)"
            )
        explained = 1 - errors.sum(0) / spread
        return float(explained.nan_to_num(0, 0, 0).clamp_min(0).mean())


@dataclass(frozen=True)
class Within(Score):
    """Share of numbers that are off by at most a tolerance; NaN counts as wrong.

    Attributes:
        tolerance: above 0.
    """

    tolerance: float

    def accumulate(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Count the numbers within the tolerance, and all numbers: int64 (2,)."""
        ours, theirs = paired(outputs, targets)
        near = (ours - theirs).abs() <= self.tolerance
        return torch.stack([near.sum(), near.new_tensor(near.numel(), dtype=torch.int64)])

    def finish(self, parts: Sequence[Tensor]) -> float:
        """Return the share of all numbers."""
        near, all_of_them = torch.stack([*parts]).sum(0).tolist()
        return near / all_of_them
