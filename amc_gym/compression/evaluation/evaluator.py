"""From plans to scores: a forward pass of the small network over the reward images."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from amc_gym._utils.nests import Nest, mapped, nbytes, placed
from amc_gym.compression.evaluation import parallel
from amc_gym.compression.evaluation.memory import Memory
from amc_gym.compression.evaluation.scoring import Batch, Score, Scored, finished, on_batch
from amc_gym.compression.evaluation.stored import as_bytes

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}

Counts = tuple[int, ...]
"""Number of channels that each unit keeps."""

RESIDENT_BYTES = 256 * 2**20
"""Images that take more bytes than this as floats are prepared batch by batch in each evaluation.

On a GPU the limit is half of its free memory instead.
"""


class Examples(Protocol):
    """Inputs of a network with their targets, such as ``amc_gym.Split``."""

    def __len__(self) -> int: ...

    def batch(self, chosen: slice, /) -> Nest:
        """Return some of the inputs in the network's form: (n, ...) each, float32."""
        ...

    def targets_of(self, chosen: slice, /) -> Nest:
        """Return the targets of some of the inputs: (n, ...) each."""
        ...


@runtime_checkable
class MultiPlanSource(Protocol):
    """A source that evaluates several plans in one pass, see ``ResidentNetwork``."""

    @property
    def plans_per_pass(self) -> int:
        """Most plans in one pass."""
        ...

    def several(self, plans: Sequence[Sequence[int]], /) -> nn.Module:
        """Return a network that evaluates all of the plans, the first one's outputs first."""
        ...


class NetworkSource(Protocol):
    """A source of the small networks of plans; see ``candidates``."""

    @property
    def overlap(self) -> int:
        """Number of plans that may be under way: this many of the latest networks stay valid."""
        ...

    def __call__(self, counts: Sequence[int], /) -> nn.Module:
        """Return the network for these counts."""
        ...


class Batches:
    """Batches for any number of passes, which stay on the device or are prepared in each pass.

    Args:
        images: what is divided into batches.
        size: images per batch.
        device: device of the batches.
        dtype: of the images.
        channels_last: whether channels are last in memory.
        stored: whether images that are bytes stay so, for networks that normalise them.
    """

    def __init__(
        self,
        images: Examples,
        size: int,
        *,
        device: torch.device,
        dtype: torch.dtype,
        channels_last: bool = True,
        stored: bool = False,
    ) -> None:
        self._images, self._channels_last = images, channels_last
        self._stored = as_bytes(images) if stored else None
        self._like = {"device": device, "dtype": dtype}
        self._parts = [slice(start, start + size) for start in range(0, len(images), size)]
        self._resident: list[Batch] | None = None
        if len(images) * nbytes(self._ready(slice(1))[0]) <= _resident_bytes(device):
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
        device, targets = self._like["device"], self._images.targets_of(part)
        if self._stored is not None:
            inputs = _laid(self._stored.images[part], self._channels_last, device=device)
        else:
            inputs = self._images.batch(part)
            inputs = (channels_last if self._channels_last else placed)(inputs, **self._like)
        return inputs, placed(targets, device)


def channels_last(inputs: Nest, **like: Any) -> Nest:
    """Return inputs placed as ``like`` says, with (N, C, H, W) floats copied to channels last.

    Done by hand rather than by ``contiguous``, because torch cannot tell the two layouts apart for
    images of one channel, and convolutions would continue in the slow one.
    """

    def laid(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.ndim != 4 or not tensor.is_floating_point():
            return placed(tensor, **like)
        return _laid(tensor, **like)

    return mapped(laid, inputs)


def _laid(tensor: torch.Tensor, last: bool = True, **like: Any) -> torch.Tensor:
    """Return a copy of (N, C, H, W) with channels last or first in memory."""
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty_like(tensor, memory_format=layout, **like).copy_(tensor)


def _resident_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else RESIDENT_BYTES


class Evaluator:
    """An evaluator of channel counts on the reward images, which evaluates each plan once.

    The last ``memory.PLANS`` plans are remembered; older ones are evaluated again, with the same
    result.

    On a CPU each batch runs on one core, on as many cores as torch may use; on a GPU batches are
    queued.  The results depend on neither.

    Args:
        build: source of the small networks, ready to run; see ``candidates``.
        images: reward images with their targets.
        score: scores the outputs.
        size: images per batch, see ``batch_size``.
        device: device of ``build``'s networks.
        precision: of their weights, "float32" or "bf16".
        channels_last: memory layout of the images that the networks take.
        stored: whether they take bytes if images are bytes.
    """

    def __init__(
        self,
        build: NetworkSource,
        images: Examples,
        score: Score,
        *,
        size: int,
        device: torch.device,
        precision: str = "float32",
        channels_last: bool = True,
        stored: bool = False,
    ) -> None:
        self.network = build
        self._device, self._score, self._images = device, score, len(images)
        self.batches = Batches(
            images,
            size,
            device=device,
            dtype=PRECISIONS[precision],
            channels_last=channels_last,
            stored=stored,
        )
        self._remembered: Memory[Scored] = Memory()

    def __call__(self, counts: Sequence[int]) -> Scored:
        """Return the score of the plan that keeps ``counts[u]`` channels of unit u."""
        (found,) = self.many([counts])
        return found

    def many(self, plans: Sequence[Sequence[int]]) -> list[Scored]:
        """Return the scores of several plans, evaluated in parallel; the same as one by one."""
        keys = [tuple(counts) for counts in plans]
        found = {key: self._remembered.get(key) for key in keys}
        if unknown := [key for key, known in found.items() if known is None]:
            found |= self._evaluate(unknown)
        return [known for key in keys if (known := found[key]) is not None]

    @property
    def at_once(self) -> int:
        """Number of plans that it pays off to submit together; more than one if they share work.

        The results do not depend on it.
        """
        if isinstance(self.network, MultiPlanSource):
            return self.network.plans_per_pass
        spare = self._device.type == "cpu" and len(self.batches) < torch.get_num_threads()
        return self.network.overlap if spare else 1

    def _evaluate(self, keys: Sequence[Counts]) -> dict[Counts, Scored]:
        # A GPU has its own queue, which it processes in order.
        cores = parallel.executor() if self._device.type == "cpu" else parallel.Inline()
        pending: deque[tuple[Sequence[Counts], list[Future[list[Any]]]]] = deque()
        found: dict[Counts, Scored] = {}

        def finish(most: int) -> None:
            while sum(len(group) for group, _ in pending) > most:
                group, batches = pending.popleft()
                parts = zip(*[each.result() for each in batches], strict=True)
                for key, mine in zip(group, parts, strict=True):
                    found[key] = Scored(finished(self._score, mine), self._images)
                    self._remembered.put(key, found[key])

        for group in self._groups(keys):
            finish(self.network.overlap - len(group))
            run = partial(self._parts, self._network(group), len(group))
            pending.append((group, [cores.submit(run, n) for n in range(len(self.batches))]))
        finish(0)
        return found

    def _groups(self, keys: Sequence[Counts]) -> Iterator[Sequence[Counts]]:
        """Divide plans into passes whose sizes are powers of two: 13 into 8, 4 and 1."""
        size = self.network.plans_per_pass if isinstance(self.network, MultiPlanSource) else 1
        while keys:
            while size > len(keys):
                size //= 2
            yield keys[:size]
            keys = keys[size:]

    def _network(self, group: Sequence[Counts]) -> nn.Module:
        if len(group) > 1 and isinstance(self.network, MultiPlanSource):
            return self.network.several(group)
        (counts,) = group
        return self.network(counts)

    def _parts(self, network: nn.Module, plans: int, number: int) -> list[Any]:
        return on_batch(network, self.batches[number], self._score, plans)

    def forget(self) -> None:
        """Forget the remembered plans, so that the next evaluations are real ones."""
        self._remembered.forget()

    @property
    def distinct(self) -> int:
        """Number of distinct plans that were evaluated, including those that are forgotten."""
        return self._remembered.distinct
