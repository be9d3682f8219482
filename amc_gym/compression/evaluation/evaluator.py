"""Plan -> score: one forward pass of the small network over the reward images."""

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
"""Channels that each unit keeps."""

RESIDENT_BYTES = 256 * 2**20
"""Images that take more than this as floats are made ready batch by batch, in each evaluation.

On a GPU: half of its free memory instead.
"""


class Examples(Protocol):
    """Inputs of a network with their targets, such as ``amc_gym.Split``."""

    def __len__(self) -> int: ...

    def batch(self, chosen: slice, /) -> Nest:
        """Return some of the inputs as the network takes them: (n, ...) each, float32."""
        ...

    def targets_of(self, chosen: slice, /) -> Nest:
        """Targets of these: (n, ...) each."""
        ...


@runtime_checkable
class Together(Protocol):
    """Judges several plans in one pass, see ``ResidentNetwork``."""

    @property
    def together(self) -> int:
        """How many plans one pass may judge."""
        ...

    def several(self, plans: Sequence[Sequence[int]], /) -> nn.Module:
        """Return a network that answers for all of the plans, those of the first one first."""
        ...


class NetworkSource(Protocol):
    """Channel counts -> the small network of a plan; see ``candidates``."""

    @property
    def overlap(self) -> int:
        """Plans that may be under way at a time: so many networks, the last ones, stay valid."""
        ...

    def __call__(self, counts: Sequence[int], /) -> nn.Module:
        """Return the network of these counts."""
        ...


class Batches:
    """Batches for any number of passes: resident, or made ready anew in each pass.

    Args:
        images: what is cut into batches.
        size: images per batch.
        device: where they are to be.
        dtype: of the images.
        channels_last: whether channels lie last in memory.
        stored: images that are bytes stay so, for networks that normalise them.
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
    """Inputs where ``like`` says, copies of (N, C, H, W) floats with channels last in memory.

    By hand rather than by ``contiguous``: where images have one channel, torch takes either order
    for the other, and convolutions would go on in the slow one.
    """

    def laid(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.ndim != 4 or not tensor.is_floating_point():
            return placed(tensor, **like)
        return _laid(tensor, **like)

    return mapped(laid, inputs)


def _laid(tensor: torch.Tensor, last: bool = True, **like: Any) -> torch.Tensor:
    """Return a copy of (N, C, H, W), channels last or first in memory."""
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty_like(tensor, memory_format=layout, **like).copy_(tensor)


def _resident_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else RESIDENT_BYTES


class Evaluator:
    """Evaluates channel counts on the reward images, each plan once.

    The last ``memory.PLANS`` plans are remembered; older ones are evaluated again, alike.

    On a processor the batches run on a core each, on as many cores as torch may use; on a GPU they
    queue.  What is counted depends on neither.

    Args:
        build: channel counts -> the small network, ready to run; see ``candidates``.
        images: reward images with their targets.
        score: what their outputs are worth.
        size: images per batch, see ``batch_size``.
        device: where ``build``'s networks are.
        precision: of their weights, "float32" or "bf16".
        channels_last: how the networks want their images in memory.
        stored: whether they take bytes where images are bytes.
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
        """Score of the plan that keeps ``counts[u]`` channels of unit u."""
        (found,) = self.many([counts])
        return found

    def many(self, plans: Sequence[Sequence[int]]) -> list[Scored]:
        """Scores of several plans, which are evaluated side by side; the same as one by one."""
        keys = [tuple(counts) for counts in plans]
        found = {key: self._remembered.get(key) for key in keys}
        if unknown := [key for key, known in found.items() if known is None]:
            found |= self._evaluate(unknown)
        return [known for key in keys if (known := found[key]) is not None]

    @property
    def at_once(self) -> int:
        """Plans that it pays to ask for at a time: more than one where they share passes or cores.

        What is found does not depend on it.
        """
        if isinstance(self.network, Together):
            return self.network.together
        spare = self._device.type == "cpu" and len(self.batches) < torch.get_num_threads()
        return self.network.overlap if spare else 1

    def _evaluate(self, keys: Sequence[Counts]) -> dict[Counts, Scored]:
        # A GPU works off a queue of its own, in the order of what is submitted.
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
        """Cut plans into those that one pass judges, a power of two each: 13 into 8, 4 and 1."""
        size = self.network.together if isinstance(self.network, Together) else 1
        while keys:
            while size > len(keys):
                size //= 2
            yield keys[:size]
            keys = keys[size:]

    def _network(self, group: Sequence[Counts]) -> nn.Module:
        if len(group) > 1 and isinstance(self.network, Together):
            return self.network.several(group)
        (counts,) = group
        return self.network(counts)

    def _parts(self, network: nn.Module, plans: int, number: int) -> list[Any]:
        return on_batch(network, self.batches[number], self._score, plans)

    def forget(self) -> None:
        """Forget the remembered plans, so that the next evaluations are measured afresh."""
        self._remembered.forget()

    @property
    def distinct(self) -> int:
        """How many distinct plans were evaluated, those included that are forgotten by now."""
        return self._remembered.distinct
