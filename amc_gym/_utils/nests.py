"""Nests: the tensors of a batch, alone or in tuples, dictionaries and lists.

Tuples and dictionaries hold tensors that belong together, such as two inputs of a network; every
tensor in them has the batch dimension first, (N, ...).  A list has one entry for each sample, such
as images of several sizes, or the boxes in each image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

Nest = Any
"""A tensor, or a tuple, dictionary or list of nests."""


def leaves(nest: Nest) -> list[Tensor]:
    """Return the tensors of a nest in order, including those in dataclass fields."""
    return list(_leaves(nest))


def _leaves(nest: Nest) -> Iterator[Tensor]:
    if isinstance(nest, Tensor):
        yield nest
    elif isinstance(nest, Mapping):
        for value in nest.values():
            yield from _leaves(value)
    elif isinstance(nest, tuple | list):
        for value in nest:
            yield from _leaves(value)
    elif is_dataclass(nest) and not isinstance(nest, type):
        for field in fields(nest):
            yield from _leaves(getattr(nest, field.name))


def mapped(function: Callable[[Tensor], Any], nest: Nest) -> Nest:
    """Return the nest with ``function`` applied to each tensor; everything else is unchanged."""
    if isinstance(nest, Tensor):
        return function(nest)
    if isinstance(nest, Mapping):
        return {key: mapped(function, value) for key, value in nest.items()}
    if isinstance(nest, tuple):
        return _tuple(nest, [mapped(function, value) for value in nest])
    if isinstance(nest, list):
        return [mapped(function, value) for value in nest]
    return nest


def samples(nest: Nest) -> int:
    """Return the number of samples in a batch.

    Raises:
        ValueError: its parts have different numbers of samples, or it holds no tensor.
    """
    sizes = set(_sizes(nest))
    if len(sizes) != 1:
        found = f"parts of {', '.join(map(str, sorted(sizes)))} samples" if sizes else "no tensor"
        raise ValueError(
            f"tensors of one batch must have their samples first, equally many, not {found}"
        )
    return sizes.pop()


def _sizes(nest: Nest) -> Iterator[int]:
    if isinstance(nest, Tensor):
        yield len(nest) if nest.ndim else 0
    elif isinstance(nest, list):
        yield len(nest)
    elif isinstance(nest, Mapping | tuple):
        for value in nest.values() if isinstance(nest, Mapping) else nest:
            yield from _sizes(value)


def take(nest: Nest, chosen: slice | Tensor) -> Nest:
    """Return some samples of a batch, by a slice or a tensor of indices."""
    if isinstance(nest, Tensor):
        return nest[chosen]
    if isinstance(nest, list):
        return nest[chosen] if isinstance(chosen, slice) else [nest[i] for i in chosen.tolist()]
    if isinstance(nest, Mapping):
        return {key: take(value, chosen) for key, value in nest.items()}
    if isinstance(nest, tuple):
        return _tuple(nest, [take(value, chosen) for value in nest])
    return nest


def first_samples(batches: Iterable[Nest], most: int) -> Iterator[Nest]:
    """Yield batches with the first ``most`` samples; no further batch is requested."""
    left = most
    for batch in batches:
        yield take(batch, slice(left))
        left -= samples(batch)
        if left <= 0:
            return


def joined(parts: Sequence[Nest]) -> Nest:
    """Concatenate several batches into one."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(list(parts))
    if isinstance(first, list):
        return [sample for part in parts for sample in part]
    if isinstance(first, Mapping):
        return {key: joined([part[key] for part in parts]) for key in first}
    if isinstance(first, tuple):
        return _tuple(first, [joined(values) for values in zip(*parts, strict=True)])
    return first


def placed(
    nest: Nest, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> Nest:
    """Return the nest on a device, with floats in a precision; integers keep their type."""
    return mapped(
        lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None), nest
    )


def device_of(nest: Nest) -> torch.device:
    """Return the device of a nest's first tensor; the CPU if there is none."""
    return next((tensor.device for tensor in _leaves(nest)), torch.device("cpu"))


def nbytes(nest: Nest) -> int:
    """Return the bytes of all tensors together."""
    return sum(tensor.nbytes for tensor in _leaves(nest))


def called(network: nn.Module, inputs: Nest, *others: Any) -> Any:
    """Call a network: a tuple is passed as arguments, a dictionary as keyword arguments.

    Args:
        network: anything callable.
        inputs: a batch; a tensor or a list is one argument.
        others: further arguments after those.
    """
    if isinstance(inputs, tuple):
        return network(*inputs, *others)
    if isinstance(inputs, Mapping):
        return network(*others, **inputs)
    return network(inputs, *others)


def shape_text(nest: Nest) -> str:
    """Return shapes for messages: "(2, 3, 8, 8)", or "{'left': (2, 4), 'right': (2, 4)}"."""
    if isinstance(nest, Tensor):
        return str(tuple(nest.shape))
    if isinstance(nest, Mapping):
        return "{" + ", ".join(f"{key!r}: {shape_text(value)}" for key, value in nest.items()) + "}"
    if isinstance(nest, tuple):
        return "(" + ", ".join(map(shape_text, nest)) + ")"
    if isinstance(nest, list):
        return f"a list of {len(nest)}" + (f", the first {shape_text(nest[0])}" if nest else "")
    return type(nest).__name__


def _tuple(like: tuple[Any, ...], values: list[Any]) -> tuple[Any, ...]:
    return type(like)(*values) if hasattr(like, "_fields") else tuple(values)
