"""Samples made from pairs of nests, map-style data sets, and data loaders.

Items of a data set are (input, target) pairs.  They are stacked where all have one shape, and stay
a list where shapes differ, as the boxes of images do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from amc_gym._utils.arguments import described
from amc_gym._utils.nests import Nest, mapped
from amc_gym.tasks.collecting import SplitLike, is_pair, loader_of, seeded, split_of
from amc_gym.tasks.objectives.objective import Objective
from amc_gym.tasks.samples import Samples, plain
from amc_gym.tasks.split import UNLABELLED, Split

Data = Split | Samples
"""Inputs and targets of a task."""

DataLike = SplitLike | Samples
"""Everything that ``data_of`` accepts."""


def data_of(name: str, data: Any, objective: Objective) -> Data:
    """Convert ``data`` to a split or samples.

    Args:
        name: of the argument, as the user writes it.
        data: a ``Split`` or ``Samples``; a pair (inputs, targets) of nests; a map-style data set of
            such pairs; or a ``DataLoader`` of one.
        objective: of the task; images to be classified become a ``Split``.

    Raises:
        TypeError: ``data`` is none of these.
        ValueError: its items are not pairs, or ``Samples`` or ``split_of`` refuses them.
    """
    if isinstance(data, Split | Samples):
        return data
    if is_pair(data) or (not objective.classifies and _is_item(data)):
        if objective.classifies and (len(data) > 2 or not _is_nest(data[0])):
            return split_of(name, data)
        if len(data) > 2:
            raise ValueError(
                f"{name}: mean and std are only for images that are classified: pass normalised "
                "floats, (inputs, targets)"
            )
        return _samples(name, data[0], data[1])
    loader = loader_of(name, data)
    first = loader.dataset[next(iter(loader.sampler))]  # pyright: ignore[reportArgumentType]
    if objective.classifies and not (_is_item(first) and _is_nest(first[0])):
        return split_of(name, data)
    return _read_all(name, loader, own=_has_own_collate(data), listed=objective.lists)


def training_data_of(name: str, data: Any, objective: Objective) -> Data:
    """Convert ``data`` as ``data_of`` does, except that images to be classified need no labels.

    Args:
        name: of the argument, as the user writes it.
        data: as in ``data_of``; or images alone: a tensor or array (N, C, H, W), or a map-style
            data set of images.
        objective: of the task.

    Raises:
        TypeError, ValueError: as ``data_of``.
    """
    if not objective.classifies or isinstance(data, Split | Samples) or is_pair(data):
        return data_of(name, data, objective)
    if isinstance(data, Tensor | np.ndarray):
        try:
            return Split.unlabelled(data)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from error
    loader = loader_of(name, data)
    first = loader.dataset[next(iter(loader.sampler))]  # pyright: ignore[reportArgumentType]
    if isinstance(first, Tensor | np.ndarray) and not isinstance(data, DataLoader):
        return data_of(name, _WithoutLabels(data), objective)
    return data_of(name, data, objective)


class _WithoutLabels(Dataset[tuple[Any, int]]):
    """A data set of images, presented as one of (image, label) pairs."""

    def __init__(self, images: Any) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self._images[index], UNLABELLED


def _is_nest(inputs: Any) -> bool:
    """Return whether inputs are more than the single tensor or array that ``Split`` takes."""
    return isinstance(inputs, Mapping | tuple)


def _is_item(item: Any) -> bool:
    return isinstance(item, tuple) and len(item) == 2


def _has_own_collate(data: Any) -> bool:
    return isinstance(data, DataLoader) and data.collate_fn is not default_collate


def _samples(name: str, inputs: Nest, targets: Nest) -> Samples:
    try:
        return Samples(inputs, targets)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}: {error}") from error


def _read_all(name: str, loader: DataLoader[Any], *, own: bool, listed: bool) -> Samples:
    """Collect everything that a loader yields, sample by sample."""
    if not own:
        loader.collate_fn = _as_they_are
    items: list[tuple[Nest, Nest]] = []
    left = len(loader.sampler)  # pyright: ignore[reportArgumentType]
    with seeded():
        try:
            for batch in loader:
                if loader.batch_size is None:
                    items.append(_item(name, batch))
                elif own:
                    items += _split_batch(name, batch, min(loader.batch_size, left - len(items)))
                else:
                    items += [_item(name, each) for each in batch]
        except (_UnfitError, MemoryError):
            raise
        except Exception as error:
            raise ValueError(
                f"{name}: the data set cannot be read ({type(error).__name__}: {error}): its items "
                "must be (input, target), nests of tensors"
            ) from error
    inputs, targets = zip(*items, strict=True)
    return _samples(name, stacked(inputs), list(targets) if listed else stacked(targets))


class _UnfitError(ValueError):
    """Raised for items that do not make samples; the message says why."""


def _as_they_are(items: list[Any]) -> list[Any]:
    return items


def _item(name: str, item: Any) -> tuple[Nest, Nest]:
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise _UnfitError(
            f"{name}: items of the data set must be (input, target), not {described(item)}: wrap "
            "the data set in one that returns such pairs"
        )
    return plain(name, item[0]), plain(name, item[1])


def _split_batch(name: str, batch: Any, n: int) -> list[tuple[Nest, Nest]]:
    """Return the ``n`` samples of a batch that the loader's own ``collate_fn`` has made."""
    inputs, targets = (_listed(nest, n) for nest in _item(name, batch))
    return [(_at(inputs, i), _at(targets, i)) for i in range(n)]


def _listed(nest: Nest, n: int) -> Nest:
    """Return the batch with each tuple of one entry per sample, as ``zip`` makes, as a list."""
    if isinstance(nest, tuple) and len(nest) == n:
        batched = all(isinstance(each, Tensor) and each.shape[:1] == (n,) for each in nest)
        return nest if batched and n > 1 else list(nest)
    return nest


def _at(nest: Nest, index: int) -> Nest:
    """Return one sample, without the batch dimension."""
    if isinstance(nest, list):
        return nest[index]
    if isinstance(nest, Mapping):
        return {key: _at(value, index) for key, value in nest.items()}
    if isinstance(nest, tuple):
        return tuple(_at(value, index) for value in nest)
    return nest[index]


def stacked(items: Sequence[Nest]) -> Nest:
    """Return samples as one nest, stacked if structure and shapes agree, otherwise in a list."""
    if len({_shape(item) for item in items}) > 1 or _shape(items[0]) is None:
        return list(items)
    return _stack(items)


def _stack(items: Sequence[Nest]) -> Nest:
    first = items[0]
    if isinstance(first, Mapping):
        return {key: _stack([item[key] for item in items]) for key in first}
    if isinstance(first, tuple):
        return tuple(_stack(values) for values in zip(*items, strict=True))
    return default_collate(list(items))


def _shape(nest: Nest) -> Any:
    """Return the structure and shapes of a sample; ``None`` if it contains a list."""
    if isinstance(nest, list):
        return None
    return str(mapped(lambda tensor: (tuple(tensor.shape), tensor.dtype), nest))
