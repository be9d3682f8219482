"""Hits: the number of images that a network classifies correctly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

METRICS = {"top1": 1, "top5": 5}
"""Metric -> number of best classes that the label has to be among."""


@dataclass(frozen=True)
class Hits:
    """Number of images, of ``images``, that a network classifies correctly."""

    top1: int
    top5: int
    images: int

    def accuracy(self, metric: str) -> float:
        """Return the accuracy in [0, 1] by "top1" or "top5"."""
        return (self.top1 if metric == "top1" else self.top5) / self.images


def count_hits(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Hits:
    """Run ``network`` over (images, labels) batches, one after the other, and count the hits."""
    with torch.inference_mode():
        return total([counted(network(images), labels) for images, labels in batches])


def counted(logits: Tensor, labels: Tensor) -> Tensor:
    """Count top-1 hits, top-5 hits and images: int64 (3,), on the device of the logits."""
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    best &= ~logits.isnan().any(1, keepdim=True)  # topk takes NaN for the largest
    # Created on the device, because copying a number to a GPU would wait for it.
    images = best.new_full((), len(labels), dtype=torch.int64)
    return torch.stack([best[:, 0].sum(), best.sum(), images])


def total(counts: Sequence[Tensor]) -> Hits:
    """Return the hits of several batches together."""
    # All at the end, so that a GPU is waited for once rather than after each batch.
    return Hits(*torch.stack([*counts]).sum(0).tolist())
