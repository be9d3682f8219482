"""Classification: cross-entropy, and top-k accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from amc_gym._utils.arguments import whole
from amc_gym.compression.evaluation.hits import METRICS, counted, total
from amc_gym.tasks.objectives.objective import Loss, Objective, Score
from amc_gym.tasks.objectives.registry import register


@register
def classification(top: int = 1) -> Objective:
    """Return the objective of classifiers, with logits (N, classes) and labels (N,).

    A sample counts as right if its class is among the ``top`` largest logits.

    Args:
        top: 1 or 5.

    Raises:
        TypeError: ``top`` is not a number.
        ValueError: it is another number.
    """
    top = whole("top", top)
    if top not in METRICS.values():
        raise ValueError(f"top must be 1 or 5, not {top}")
    return Objective(CrossEntropy(), TopK(top), f"top{top}")


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy of logits (N, classes, ...) with classes (N, ...).

    Attributes:
        label_smoothing: in [0, 1).
    """

    label_smoothing: float = 0.0

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over the labels."""
        return functional.cross_entropy(outputs, targets, label_smoothing=self.label_smoothing)

    def total(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the sum over the labels."""
        return functional.cross_entropy(outputs, targets.to(outputs.device), reduction="sum")

    def smoothed(self, amount: float) -> Loss:
        """Return the loss with labels smoothed."""
        return replace(self, label_smoothing=amount)

    def distilled(self, outputs: Tensor, teacher_outputs: Tensor, temperature: float) -> Tensor:
        """Return the divergence from a teacher's softened outputs (Hinton et al., 2015), a scalar.

        Its gradient shrinks with the square of the temperature, so it is multiplied by that square
        (section 2), and a weight on it means the same at any temperature.
        """
        soft = functional.kl_div(
            functional.log_softmax(outputs / temperature, dim=1),
            functional.log_softmax(teacher_outputs / temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return temperature**2 * soft

    def drawn(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Draw labels from the network's predicted probabilities."""
        answers = outputs.detach().softmax(1).cpu()
        return torch.multinomial(answers, 1, generator=generator)[:, 0]


@dataclass(frozen=True)
class TopK(Score):
    """Share of samples whose class is among the ``k`` largest logits; NaN counts as wrong."""

    accuracy = True

    k: int = 1

    def accumulate(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Count the hits, int64 (3,)."""
        return counted(outputs, targets)

    def finish(self, parts: Sequence[Tensor]) -> float:
        """Return the share of all hits."""
        return total(parts).accuracy(f"top{self.k}")
