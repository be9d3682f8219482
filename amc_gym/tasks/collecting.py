"""Splits made from pairs of arrays, map-style data sets, and data loaders."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset

from amc_gym._utils.arguments import described
from amc_gym._utils.progress import counter
from amc_gym.tasks.limits import require_memory
from amc_gym.tasks.split import Split

BATCH = 64
"""Items that are collected at a time where no loader sets a batch size."""

PATIENCE = 2.0
"""Seconds after which a progress bar appears."""

SEED = 0
"""Seed of random transforms: every process must see equal images, or plans would not apply."""

FEWER = "take fewer, torch.utils.data.Subset(dataset, range(3000)), or smaller images"


SplitLike = Split | Sequence[Any] | Dataset[Any] | DataLoader[Any]
"""Everything that ``split_of`` accepts."""


def split_of(name: str, data: Any) -> Split:
    """Convert ``data`` to a split.

    Args:
        name: of the argument, as the user writes it.
        data: a ``Split``; (images, labels) or (images, labels, mean, std) in tensors or arrays; a
            map-style data set of (image, label) pairs; or a ``DataLoader`` of one.  Loaders
            are read in the order of the data set, and only for the items that they select.

    Raises:
        TypeError: ``data`` is none of these.
        ValueError: it would not fit into memory, its items are not pairs of an image tensor and a
            class, or ``Split`` refuses it.
    """
    if isinstance(data, Split):
        return data
    if is_pair(data):
        try:
            return Split(*data)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{name}: {error}") from error
    return _collected(name, loader_of(name, data))


def is_pair(data: Any) -> bool:
    """Return whether ``data`` suits ``Split``, rather than being a list of (image, label) items."""
    return (
        isinstance(data, tuple | list)
        and 2 <= len(data) <= 4
        and not all(isinstance(part, tuple) for part in data[:2])
    )


def loader_of(name: str, data: Any) -> DataLoader[Any]:
    """Return a loader that yields each item of ``data`` once, in order, in this process."""
    loader: DataLoader[Any] | None = data if isinstance(data, DataLoader) else None
    dataset: Any = data if loader is None else loader.dataset
    if isinstance(dataset, IterableDataset) or isinstance(data, Iterator):
        raise TypeError(
            f"{name} cannot be read in a fixed order from {type(dataset).__name__}: collect its "
            "images in tensors and pass (images, labels)"
        )
    strangers = (Mapping, str, bytes, type, np.ndarray, Tensor)
    if isinstance(dataset, strangers) or not (
        hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    ):
        raise TypeError(
            f"{name} must be a Split, (images, labels), (images, labels, mean, std), a map-style "
            f"data set or a DataLoader, not {described(data)}"
        )
    if not len(dataset):
        raise ValueError(f"{name} must not be empty: the data set has no items")
    options: dict[str, Any] = {}
    chosen: Sequence[int] = range(len(dataset))
    if loader is not None:
        chosen = _chosen(name, loader)
        options = {
            "num_workers": loader.num_workers,
            "collate_fn": loader.collate_fn,
            "worker_init_fn": loader.worker_init_fn,
            "multiprocessing_context": loader.multiprocessing_context,
        }
    alone = loader is not None and loader.batch_size is None and loader.batch_sampler is None
    return DataLoader(
        dataset,
        batch_size=None if alone else getattr(loader, "batch_size", None) or BATCH,
        sampler=chosen,
        generator=torch.Generator().manual_seed(SEED),  # the state of the global one is the user's
        **options,
    )


def _chosen(name: str, loader: DataLoader[Any]) -> list[int]:
    """Return the indices of the items that a loader selects, in ascending order."""
    sampler: Any = loader.sampler
    if loader.batch_sampler is not None and type(loader.batch_sampler) is not BatchSampler:
        sampler = (index for batch in loader.batch_sampler for index in batch)
    if getattr(loader.sampler, "replacement", False):
        raise ValueError(
            f"{name}: the loader's sampler draws with replacement, so that each pass has other "
            "items: pass its data set"
        )
    with seeded():
        chosen = sorted({int(index) for index in sampler})
    if not chosen:
        raise ValueError(f"{name} must not be empty: the loader selects no items")
    return chosen


def _collected(name: str, loader: DataLoader[Any]) -> Split:
    """Collect everything that a loader yields in one pair of tensors."""
    with seeded():
        try:
            return _filled(name, loader)
        except (_UnfitError, MemoryError):
            raise
        except Exception as error:
            raise ValueError(
                f"{name}: the data set cannot be read ({type(error).__name__}: {error}): its items "
                "must be (image, label), with image tensors of one shape; end its transform with "
                "Resize, ToTensor and Normalize"
            ) from error


class _UnfitError(ValueError):
    """Raised for data that do not make a split; the message says why."""


def _filled(name: str, loader: DataLoader[Any]) -> Split:
    count = len(loader.sampler)  # pyright: ignore[reportArgumentType]
    images = labels = torch.empty(0)
    done, start = 0, time.monotonic()
    _look_at_first(name, loader, count)
    bar = counter()
    task = bar.add_task(f"reading {name}", total=count)
    try:
        for batch in loader:
            some, theirs = _checked(name, batch)
            if not done:
                _fits(name, count, count * some[0].nbytes)
                images = some.new_empty((count, *some.shape[1:]))
                labels = torch.empty(count, dtype=torch.int64)
            images[done : done + len(some)] = some
            labels[done : done + len(some)] = theirs
            done += len(some)
            bar.update(task, completed=done)
            if not bar.live.is_started and time.monotonic() - start > PATIENCE:
                bar.start()
    finally:
        if bar.live.is_started:
            bar.stop()
    try:
        return Split(images[:done], labels[:done])
    except ValueError as error:
        raise _UnfitError(f"{name}: {error}") from error


def _fits(name: str, count: int, nbytes: int) -> None:
    try:
        require_memory(f"{name}: {count:,} images", nbytes, FEWER)
    except ValueError as error:
        raise _UnfitError(str(error)) from None


def _checked(name: str, batch: Any) -> tuple[Tensor, Tensor]:
    """Return images (n, C, H, W), float32, and labels (n,) of a batch.

    Raises:
        _UnfitError: the batch has another form.
    """
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        has = f" with {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else ""
        raise _UnfitError(
            f"{name}: items of the data set must be (image, label), not {type(batch).__name__}"
            f"{has}: wrap the data set in one that returns such pairs"
        )
    images, labels = map(torch.as_tensor, batch)
    if images.ndim == 3 and labels.ndim == 0:  # a loader without batches
        images, labels = images[None], labels[None]
    if images.ndim != 4 or not (images.is_floating_point() or images.dtype == torch.uint8):
        raise _UnfitError(
            f"{name}: images of the data set must be (C, H, W) tensors of floats, not "
            f"{tuple(images.shape[1:])} of {images.dtype}: end its transform with ToTensor, "
            "Normalize"
        )
    if images.dtype == torch.uint8:
        raise _UnfitError(
            f"{name}: the data set gives bytes: end its transform with ToTensor and Normalize, or "
            "pass (images, labels, mean, std)"
        )
    if labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
        raise _UnfitError(
            f"{name}: labels of the data set must be classes, whole numbers from 0, not "
            f"{labels.dtype} of shape {tuple(labels.shape[1:])}"
        )
    return images.to(torch.float32), labels.to(torch.int64)


def _look_at_first(name: str, loader: DataLoader[Any], count: int) -> None:
    """Read one item twice, to check that all fit into memory and that transforms are not random."""
    first: Any = next(iter(loader.sampler))
    items = [loader.dataset[first] for _ in range(2)]
    images = [item[0] for item in items if isinstance(item, tuple | list) and item]
    if not all(isinstance(image, Tensor) for image in images) or len(images) < 2:
        return
    _fits(name, count, count * images[0].numel() * 4)
    if images[0].shape != images[1].shape or not torch.equal(images[0], images[1]):
        warnings.warn(
            f"{name}: the data set changes its images at random (augmentation): each was drawn "
            "once, and is the same in every process; pass images as they are to be evaluated "
            "instead",
            stacklevel=7,
        )


@contextmanager
def seeded() -> Iterator[None]:
    """Draw random numbers from a fixed seed within the block; the caller's generators are kept."""
    python, arrays = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        random.seed(SEED)
        np.random.seed(SEED)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(arrays)
