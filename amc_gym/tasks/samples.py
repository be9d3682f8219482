"""Samples: inputs of any network with their targets, for tasks beyond labelled images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amc_gym._utils.arguments import described, whole
from amc_gym._utils.grad_mode import ordinary, recorded
from amc_gym._utils.machine import device_of
from amc_gym._utils.nests import Nest, leaves, nbytes, placed, samples, shape_text, take


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """Inputs with their targets.  Two ``Samples`` are equal only if they are the same object.

    Inputs and targets are each a tensor or array (N, ...), a tuple or dictionary of these, or a
    list with one entry for each sample.  A tuple is passed to the network as its arguments, a
    dictionary as its keyword arguments.  Floats become float32.

    Attributes:
        inputs: what the network takes.
        targets: what the objective compares its outputs with.

    Raises:
        TypeError: they hold anything but numbers.
        ValueError: they are empty or of different lengths, or an input is NaN or infinite.
    """

    inputs: Nest
    targets: Nest

    @recorded
    def __post_init__(self) -> None:
        for name in ("inputs", "targets"):
            object.__setattr__(self, name, plain(name, getattr(self, name)))
        sizes = {}
        for name in ("inputs", "targets"):
            try:
                sizes[name] = samples(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        if sizes["inputs"] != sizes["targets"]:
            raise ValueError(
                f"there must be as many targets as inputs, not {sizes['targets']} for "
                f"{sizes['inputs']}"
            )
        if not sizes["inputs"]:
            raise ValueError("samples must not be empty: there are none")
        for tensor in leaves(self.inputs):
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise ValueError(
                    "inputs must be finite, and there is NaN or infinity among them: leave those "
                    "samples out, or correct their normalisation"
                )

    def __len__(self) -> int:
        return samples(self.targets)

    def __repr__(self) -> str:
        return f"Samples({len(self)}, inputs {shape_text(take(self.inputs, slice(1)))})"

    def batch(self, chosen: slice | Tensor) -> Nest:
        """Return some of the inputs, by a slice or a tensor of indices."""
        return take(self.inputs, chosen)

    def targets_of(self, chosen: slice | Tensor) -> Nest:
        """Return some of the targets, by a slice or a tensor of indices."""
        return take(self.targets, chosen)

    def batches(self, size: int) -> Iterator[tuple[Nest, Nest]]:
        """Yield inputs and targets in order, ``size`` at a time; the last batch may be smaller."""
        size = whole("size", size, at_least=1)
        for start in range(0, len(self), size):
            chosen = slice(start, start + size)
            yield self.batch(chosen), self.targets_of(chosen)

    def first(self, n: int) -> Samples:
        """Return the first ``n`` samples, at least one, in shared memory."""
        chosen = slice(whole("n", n, at_least=1))
        return self._with(self.batch(chosen), self.targets_of(chosen))

    def to(self, device: torch.device | str) -> Samples:
        """Move everything to a device.

        Raises:
            TypeError, ValueError: as ``device_of``.
        """
        device = device_of(device)
        return self._with(placed(self.inputs, device), placed(self.targets, device))

    @property
    def nbytes(self) -> int:
        """Bytes of all inputs."""
        return nbytes(self.inputs)

    def _with(self, inputs: Nest, targets: Nest) -> Samples:
        """Return samples without checking them again."""
        made = object.__new__(Samples)
        object.__setattr__(made, "inputs", inputs)
        object.__setattr__(made, "targets", targets)
        return made

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of structure and contents, computed once: tensors must not change."""
        digest = hashlib.sha256()
        for nest in (self.inputs, self.targets):
            _hash(nest, digest)
        return digest.hexdigest()

    @cached_property
    def image_hashes(self) -> frozenset[bytes]:
        """SHA-1 of each sample's inputs: shows whether splits share samples."""
        found = []
        for number in range(len(self)):
            digest = hashlib.sha1()
            _hash(take(self.inputs, slice(number, number + 1)), digest)
            found.append(digest.digest())
        return frozenset(found)


def plain(name: str, nest: Any) -> Nest:
    """Return a nest of plain tensors: no array, no double precision, no gradient.

    Raises:
        TypeError: it holds anything but numbers, or a dictionary with keys that are not strings.
    """
    if isinstance(nest, Tensor):
        made = ordinary(nest).detach()
        made = made if type(made) is Tensor else made.as_subclass(Tensor)
        return made.float() if made.dtype == torch.float64 else made
    if isinstance(nest, Mapping):
        if not all(isinstance(key, str) for key in nest):
            raise TypeError(f"{name}: the keys of a dictionary must be strings, {list(nest)}")
        return {key: plain(name, value) for key, value in nest.items()}
    if isinstance(nest, tuple):
        return tuple(plain(name, value) for value in nest)
    if isinstance(nest, list):
        return [plain(name, value) for value in nest]
    try:
        array = np.asarray(nest)
    except Exception as error:  # a user's object may raise anything
        raise TypeError(f"{name} cannot be converted to an array: {error}") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} must hold tensors or arrays of numbers, in tuples, dictionaries or a list of "
            f"one entry for each sample, not {described(nest)}"
        )
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
    return torch.from_numpy(np.array(array))  # copied: writable, and in native byte order


def _hash(nest: Nest, digest: Any) -> None:
    if isinstance(nest, Tensor):
        digest.update(f"{nest.dtype}{tuple(nest.shape)}".encode())
        digest.update(nest.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return
    children = nest.items() if isinstance(nest, Mapping) else enumerate(nest)
    digest.update(f"{type(nest).__name__}{len(nest)}".encode())
    for key, value in children:
        digest.update(str(key).encode())
        _hash(value, digest)
