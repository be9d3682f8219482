"""Hits: how many images a network classifies correctly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

METRICS = {"top1": 1, "top5": 5}
"""Metric -> among how many best classes the label has to be."""


@dataclass(frozen=True)
class Hits:
    """How many of ``images`` a network classifies correctly."""

    top1: int
    top5: int
    images: int

    def accuracy(self, metric: str) -> float:
        """Share in [0, 1] under "top1" or "top5"."""
        return (self.top1 if metric == "top1" else self.top5) / self.images


def count_hits(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Hits:
    """Run ``network`` over (images, labels) batches, one after the other, and count the hits."""
    with torch.inference_mode():
        return total([counted(network(images), labels) for images, labels in batches])


def counted(logits: Tensor, labels: Tensor) -> Tensor:
    """Hits among the best one and the best five, and images: int64 (3,), where the logits are."""
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    best &= ~logits.isnan().any(1, keepdim=True)  # which topk takes for the largest
    # Filled where it is: a GPU would be waited for before a number is copied to it.
    images = best.new_full((), len(labels), dtype=torch.int64)
    return torch.stack([best[:, 0].sum(), best.sum(), images])


def total(counts: Sequence[Tensor]) -> Hits:
    """Hits of several batches."""
    # Together and at last, so that a GPU is asked once rather than waited for after each batch.
    return Hits(*torch.stack([*counts]).sum(0).tolist())
