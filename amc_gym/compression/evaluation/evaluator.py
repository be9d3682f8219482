"""Plan -> accuracy: one forward pass of the small network over the reward images."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, Protocol

import torch
from torch import nn

from amc_gym.compression.evaluation import parallel
from amc_gym.compression.evaluation.memory import Memory
from amc_gym.compression.graph import ChannelGraph

METRICS = {"top1": 1, "top5": 5}
"""Metric -> among how many best classes the label has to be."""

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}

BATCH_BYTES = {"cpu": 40 * 2**20, "cuda": 2 * 2**30}
"""Activations of the uncompressed network's widest layer, in and out, that one batch may hold.

On a processor a cache's worth, on a GPU enough to keep it busy.
"""

BATCHES, BATCH_IMAGES = 2, 100
"""Batches come in multiples of so many, for as many cores; one batch stays one where halves would
hold fewer images than that."""

RESIDENT_BYTES = 256 * 2**20
"""Images that take more than this as floats are made ready batch by batch, in each evaluation.

On a GPU: half of its free memory instead.
"""

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


class NetworkSource(Protocol):
    """Channel counts -> the small network of a plan; see ``candidates``."""

    @property
    def overlap(self) -> int:
        """Plans that may be under way at a time: so many networks, the last ones, stay valid."""
        ...

    def __call__(self, counts: Sequence[int], /) -> nn.Module:
        """The network of these counts."""
        ...


def batch_size(graph: ChannelGraph, n_images: int, device: str = "cpu") -> int:
    """Images per batch such that activations stay within ``BATCH_BYTES``, in equal batches.

    A rule rather than a timing: with the batch the rounding of sums changes, and the same seed
    has to give the same rewards, bit for bit, on a busy machine as on an idle one.
    """
    widest = max(
        len(layer.outputs) * layer.sites
        + len(layer.inputs or layer.outputs) * layer.height * layer.width
        for layer in graph.layers.values()
    )
    most = max(1, BATCH_BYTES.get(device, BATCH_BYTES["cuda"]) // (4 * widest))
    batches = ceil(n_images / most)
    if device == "cpu" and (batches > 1 or n_images >= BATCHES * BATCH_IMAGES):
        batches = BATCHES * ceil(batches / BATCHES)
    return ceil(n_images / batches)


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
    """Run ``network`` over (images, labels) batches, one after the other, and count the hits."""
    return _total([_count(network, batch) for batch in batches])


def _count(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Hits among the best one and the best five, and images: int64 (3,), where the network is."""
    images, labels = batch
    with torch.inference_mode():
        logits = network(images)
        best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
        best &= ~logits.isnan().any(1, keepdim=True)  # which topk takes for the largest
        return torch.stack(
            [best[:, 0].sum(), best.sum(), best.new_tensor(len(labels), dtype=torch.int64)]
        )


def _total(counts: Sequence[torch.Tensor]) -> Hits:
    # Together and at last, so that a GPU is asked once rather than waited for after each batch.
    return Hits(*torch.stack([*counts]).sum(0).tolist())


class Batches:
    """Batches for any number of passes: resident, or made ready anew in each pass.

    Args:
        images: what is cut into batches.
        size: images per batch.
        device: where they are to be.
        dtype: of the images.
        channels_last: whether channels lie last in memory.
    """

    def __init__(
        self,
        images: Labelled,
        size: int,
        *,
        device: torch.device,
        dtype: torch.dtype,
        channels_last: bool = True,
    ) -> None:
        self._images, self._channels_last = images, channels_last
        self._like = {"device": device, "dtype": dtype}
        self._parts = [slice(start, start + size) for start in range(0, len(images), size)]
        self._resident: list[Batch] | None = None
        if len(images) * self._ready(slice(1))[0].nbytes <= _resident_bytes(device):
            self._resident = [self._ready(part) for part in self._parts]

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: int) -> Batch:
        return (
            self._ready(self._parts[number]) if self._resident is None else self._resident[number]
        )

    def __iter__(self) -> Iterator[Batch]:
        return (self[number] for number in range(len(self)))

    def _ready(self, part: slice) -> Batch:
        images, labels = self._images.batch(part), self._images.labels[part]
        lay = channels_last if self._channels_last else torch.Tensor.to
        return lay(images, **self._like), labels.to(self._like["device"])


def channels_last(images: torch.Tensor, **like: Any) -> torch.Tensor:
    """A copy of (N, C, H, W) images with channels last in memory, where ``like`` says.

    By hand rather than by ``contiguous``: where images have one channel, torch takes either order
    for the other, and convolutions would go on in the slow one.
    """
    made = torch.empty_like(images, memory_format=torch.channels_last, **like)
    return made.copy_(images)


def _resident_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else RESIDENT_BYTES


class Evaluator:
    """Evaluates channel counts on the reward images, each plan once.

    The last ``memory.PLANS`` plans are remembered; older ones are evaluated again, alike.

    On a processor the batches run on a core each, on as many cores as torch may use; on a GPU they
    queue.  What is counted depends on neither.

    Args:
        build: channel counts -> the small network, ready to run; see ``candidates``.
        images: reward images with their labels.
        size: images per batch, see ``batch_size``.
        device: where ``build``'s networks are.
        precision: of their weights, "float32" or "bf16".
        channels_last: how the networks want their images in memory.
    """

    def __init__(
        self,
        build: NetworkSource,
        images: Labelled,
        *,
        size: int,
        device: torch.device,
        precision: str = "float32",
        channels_last: bool = True,
    ) -> None:
        self.network = build
        self._device = device
        self.batches = Batches(
            images,
            size,
            device=device,
            dtype=PRECISIONS[precision],
            channels_last=channels_last,
        )
        self._remembered: Memory[Hits] = Memory()

    def __call__(self, counts: Sequence[int]) -> Hits:
        """Hits of the plan that keeps ``counts[u]`` channels of unit u."""
        (hits,) = self.many([counts])
        return hits

    def many(self, plans: Sequence[Sequence[int]]) -> list[Hits]:
        """Hits of several plans, which are evaluated side by side; the same as one by one."""
        keys = [tuple(counts) for counts in plans]
        found = {key: self._remembered.get(key) for key in keys}
        if unknown := [key for key, hits in found.items() if hits is None]:
            found |= self._evaluate(unknown)
        return [hits for key in keys if (hits := found[key]) is not None]

    def _evaluate(self, keys: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], Hits]:
        # A GPU works off a queue of its own, in the order of what is submitted.
        cores = parallel.executor() if self._device.type == "cpu" else parallel.Inline()
        pending: deque[tuple[tuple[int, ...], list[Future[torch.Tensor]]]] = deque()
        found: dict[tuple[int, ...], Hits] = {}

        def finish(most: int) -> None:
            while len(pending) > most:
                key, parts = pending.popleft()
                found[key] = _total([part.result() for part in parts])
                self._remembered.put(key, found[key])

        for key in keys:
            finish(self.network.overlap - 1)
            network = self.network(key)
            run = partial(self._part, network)
            pending.append((key, [cores.submit(run, n) for n in range(len(self.batches))]))
        finish(0)
        return found

    def _part(self, network: nn.Module, number: int) -> torch.Tensor:
        return _count(network, self.batches[number])

    def forget(self) -> None:
        """Forget the remembered plans, so that the next evaluations are measured afresh."""
        self._remembered.forget()

    @property
    def distinct(self) -> int:
        """How many distinct plans were evaluated, those included that are forgotten by now."""
        return self._remembered.distinct
