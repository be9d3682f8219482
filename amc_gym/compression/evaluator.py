"""Plan -> accuracy: one forward pass of the small network over the reward images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from amc_gym.compression.graph import ChannelGraph

METRICS = {"top1": 1, "top5": 5}
"""Metric -> among how many best classes the label has to be."""

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}

BATCH_BYTES = 32 * 2**20
"""Activations of the uncompressed network's widest layer, in and out, that one batch may hold."""

RESIDENT_BYTES = 256 * 2**20
"""Images that take more than this as floats are made ready batch by batch, in each evaluation."""

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images (N, C, H, W), and their labels (N,)."""


class Labelled(Protocol):
    """Images with their labels, such as ``amc_gym.Split``."""

    @property
    def labels(self) -> torch.Tensor:
        """int64 (N,)."""
        ...

    def __len__(self) -> int: ...

    def batch(self, chosen: slice, /) -> torch.Tensor:
        """Some of the images as the network takes them: (n, C, H, W), float32."""
        ...


def batch_size(graph: ChannelGraph, n_images: int) -> int:
    """Images per batch such that activations stay within ``BATCH_BYTES``, a cache's worth.

    A rule rather than a timing: with the batch the rounding of sums changes, and the same seed
    has to give the same rewards, bit for bit, on a busy machine as on an idle one.
    """
    widest = max(
        len(layer.outputs) * layer.sites
        + len(layer.inputs or layer.outputs) * layer.height * layer.width
        for layer in graph.layers.values()
    )
    return max(1, min(n_images, BATCH_BYTES // (4 * widest)))


@dataclass(frozen=True)
class Hits:
    """How many of ``images`` a network classifies correctly."""

    top1: int
    top5: int
    images: int

    def accuracy(self, metric: str) -> float:
        """Share in [0, 1] under "top1" or "top5"."""
        return (self.top1 if metric == "top1" else self.top5) / self.images


def count_hits(network: nn.Module, batches: Iterable[Batch]) -> Hits:
    """Run ``network`` over (images, labels) batches and count the hits."""
    top1 = top5 = images = 0
    with torch.inference_mode():
        for inputs, labels in batches:
            logits = network(inputs)
            best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
            top1 += int(best[:, 0].sum())
            top5 += int(best.sum())
            images += len(labels)
    return Hits(top1, top5, images)


class Batches:
    """Batches for any number of passes: resident, or made ready anew in each pass.

    Args:
        images: what is cut into batches.
        size: images per batch.
        ready: moves a batch to where, and into what, the network is.
    """

    def __init__(
        self, images: Labelled, size: int, ready: Callable[[torch.Tensor], torch.Tensor]
    ) -> None:
        self._images, self._ready = images, ready
        self._parts = [slice(start, start + size) for start in range(0, len(images), size)]
        self._resident: list[Batch] | None = None
        if len(images) * images.batch(slice(1)).nbytes <= RESIDENT_BYTES:
            self._resident = list(self._make())

    def __iter__(self) -> Iterator[Batch]:
        return self._make() if self._resident is None else iter(self._resident)

    def _make(self) -> Iterator[Batch]:
        for part in self._parts:
            images = self._ready(self._images.batch(part))
            yield images, self._images.labels[part].to(images.device)


class Evaluator:
    """Evaluates channel counts on the reward images, each plan once.

    Args:
        build: channel counts -> the small network, ready to run; see ``candidates``.
        images: reward images with their labels.
        size: images per batch, see ``batch_size``.
        device: where ``build``'s networks are.
        precision: of their weights, "float32" or "bf16".
    """

    def __init__(
        self,
        build: Callable[[Sequence[int]], nn.Module],
        images: Labelled,
        *,
        size: int,
        device: torch.device,
        precision: str = "float32",
    ) -> None:
        like = {"device": device, "dtype": PRECISIONS[precision]}
        self.network = build
        self.batches = Batches(
            images,
            size,
            lambda batch: batch.to(**like).contiguous(memory_format=torch.channels_last),
        )
        self._remembered: dict[tuple[int, ...], Hits] = {}

    def __call__(self, counts: Sequence[int]) -> Hits:
        """Hits of the plan that keeps ``counts[u]`` channels of unit u."""
        key = tuple(counts)
        if key not in self._remembered:
            self._remembered[key] = count_hits(self.network(key), self.batches)
        return self._remembered[key]

    def many(self, plans: Sequence[Sequence[int]]) -> list[Hits]:
        """Hits of several plans, evaluated together."""
        return [self(counts) for counts in plans]

    def forget(self) -> None:
        """Forget the remembered plans, so that the next evaluations are measured afresh."""
        self._remembered.clear()

    @property
    def distinct(self) -> int:
        """How many distinct plans are remembered."""
        return len(self._remembered)
