"""Segmentation: cross-entropy of pixels, and the mean intersection over union of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from amc_gym._utils.arguments import described, whole
from amc_gym._utils.nests import Nest
from amc_gym.tasks.objectives.classification import CrossEntropy
from amc_gym.tasks.objectives.objective import Objective, Score
from amc_gym.tasks.objectives.registry import register

OUT = "out"
"""Entry of torchvision's segmentation networks that holds the logits."""


@register
def segmentation(ignore: int = 255) -> Objective:
    """Return the objective of segmentation: logits (N, classes, H, W) and classes (N, H, W).

    The logits come alone or as entry ``"out"`` of a dictionary.  The score is the mean over the
    classes of intersection / union, counted over all pixels of a pass; classes that occur neither
    in targets nor in outputs are left out.

    Args:
        ignore: class of pixels that do not count.
    """
    ignore = whole("ignore", ignore)
    return Objective(PixelCrossEntropy(ignore=ignore), MeanIoU(ignore), "mIoU")


def logits_of(outputs: Nest, targets: Nest) -> Tensor:
    """Return the logits (N, classes, H, W) of a network's outputs.

    Raises:
        ValueError: there are no logits, or targets do not fit them.
    """
    logits = outputs.get(OUT) if isinstance(outputs, Mapping) else outputs
    if not isinstance(logits, Tensor) or logits.ndim != 4 or logits.shape[1] < 2:
        raise ValueError(
            "segmentation needs logits (N, classes, H, W), of at least two classes, alone or as "
            f"{OUT!r} of a dictionary, not {described(logits)}"
        )
    fits = isinstance(targets, Tensor) and targets.shape == (len(logits), *logits.shape[2:])
    if not fits or targets.is_floating_point():
        raise ValueError(
            f"targets must be classes (N, H, W), whole numbers, for logits of shape "
            f"{tuple(logits.shape)}, not {described(targets)}"
        )
    return logits


@dataclass(frozen=True)
class PixelCrossEntropy(CrossEntropy):
    """Cross-entropy of the pixels that count.

    Attributes:
        ignore: class of those that do not.
    """

    ignore: int = 255

    def __call__(self, outputs: Nest, targets: Nest) -> Tensor:
        """Return the mean over the pixels."""
        return self._summed(outputs, targets) / (targets != self.ignore).sum().clamp_min(1)

    def total(self, outputs: Nest, targets: Nest) -> Tensor:
        """Return the sum over the samples of the mean over their pixels."""
        return self(outputs, targets) * len(targets)

    def distilled(self, outputs: Nest, teacher_outputs: Nest, temperature: float) -> Tensor:
        """Return the divergence from a teacher's softened outputs, the mean over the pixels."""
        ours, theirs = (
            (each[OUT] if isinstance(each, Mapping) else each).movedim(1, -1).flatten(0, -2)
            for each in (outputs, teacher_outputs)
        )
        return super().distilled(ours, theirs, temperature)

    def drawn(self, outputs: Nest, generator: torch.Generator) -> Tensor:
        """Draw the classes of pixels from the network's predicted probabilities."""
        logits = outputs[OUT] if isinstance(outputs, Mapping) else outputs
        n, _, height, width = logits.shape
        pixels = super().drawn(logits.movedim(1, -1).flatten(0, -2), generator)
        return pixels.reshape(n, height, width)

    def _summed(self, outputs: Nest, targets: Nest) -> Tensor:
        return functional.cross_entropy(
            logits_of(outputs, targets),
            targets.to(torch.int64),
            ignore_index=self.ignore,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )


@dataclass(frozen=True)
class MeanIoU(Score):
    """Mean over the classes of intersection / union.

    Attributes:
        ignore: class of pixels that do not count.
    """

    ignore: int = 255

    def accumulate(self, outputs: Nest, targets: Nest) -> Tensor:
        """Count pixels by class (rows) and output (columns; last: NaN), (classes, classes + 1)."""
        logits = logits_of(outputs, targets)
        classes = logits.shape[1]
        answers = logits.argmax(1).where(~logits.isnan().any(1), classes)
        counts = targets != self.ignore
        if not ((targets[counts] >= 0) & (targets[counts] < classes)).all():
            raise ValueError(
                f"targets hold classes {int(targets[counts].min())}..{int(targets[counts].max())}, "
                f"but the model knows {classes}; pixels of class {self.ignore} do not count"
            )
        places = targets[counts].long() * (classes + 1) + answers[counts]
        return places.bincount(minlength=classes * (classes + 1)).reshape(classes, classes + 1)

    def finish(self, parts: Sequence[Tensor]) -> float:
        """Return the mean over the classes that occur in targets or outputs."""
        pixels = torch.stack([*parts]).sum(0).double()
        right = pixels.diagonal()
        union = pixels.sum(1) + pixels.sum(0)[:-1] - right
        seen = union > 0
        return float((right[seen] / union[seen]).mean()) if seen.any() else 0.0
