"""Labelled images, and the disjoint splits of a data set."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels. Two splits are equal only if they are the same object.

    Images are normalised floats, or bytes that are normalised in flight: they take a quarter of
    the memory, and none where they are mapped from a file. NumPy arrays do as well as tensors.

    Attributes:
        images: ``(N, C, H, W)``, float32 and normalised, or uint8 with ``mean`` and ``std``.
        labels: int64 ``(N,)``, class indices from 0.
        mean: of each channel, of values from 0 to 1, as torchvision counts; None for floats.
        std: likewise.

    Raises:
        ValueError: a shape, length or dtype differs from the above, or the split is empty.
    """

    images: Tensor
    labels: Tensor
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", _tensor(self.images))
        object.__setattr__(self, "labels", _tensor(self.labels))
        require(self.images.ndim == 4, "images must be (N, C, H, W)", tuple(self.images.shape))
        require(self.labels.ndim == 1, "labels must be (N,)", tuple(self.labels.shape))
        self._check_dtypes()
        require(self.images.numel() > 0, "images must not be empty", tuple(self.images.shape))
        sizes = (len(self.images), len(self.labels))
        require(sizes[0] == sizes[1], "there must be as many labels as images", sizes)

    def _check_dtypes(self) -> None:
        require(self.labels.dtype == torch.int64, "labels must be int64", self.labels.dtype)
        dtype = self.images.dtype
        normalised = self.mean is not None or self.std is not None
        if dtype == torch.uint8 and not normalised:
            raise ValueError(
                "images must be float32 and normalised; for uint8 images say how they are to be "
                "normalised: Split(images, labels, mean=(...), std=(...)), of values from 0 to 1"
            )
        if dtype != torch.uint8:
            require(dtype == torch.float32, "images must be float32, or uint8", dtype)
            require(not normalised, "mean and std belong to uint8 images", dtype)
            return
        channels = self.images.shape[1]
        for name in ("mean", "std"):
            values = tuple(float(value) for value in getattr(self, name) or ())
            require(len(values) == channels, f"{name} must have {channels} numbers", values)
            object.__setattr__(self, name, values)
        require(min(self.std or ()) > 0, "std must be positive", self.std)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, chosen: slice | Tensor) -> Tensor:
        """Some of the images as the network takes them: float32, normalised.

        Args:
            chosen: a slice, or a tensor of indices on the device of the images.
        """
        images = self.images[chosen]
        if self.mean is None:
            return images
        mean, std = (
            torch.tensor(values, device=images.device).view(1, -1, 1, 1)
            for values in (self.mean, self.std)
        )
        return images.float().div_(255).sub_(mean).div_(std)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images and labels in order, ``size`` at a time; the last batch may be smaller."""
        for start in range(0, len(self), size):
            chosen = slice(start, start + size)
            yield self.batch(chosen), self.labels[chosen]

    def first(self, n: int) -> Split:
        """The split of the first ``n`` images, which shares their memory."""
        return replace(self, images=self.images[:n], labels=self.labels[:n])

    def to(self, device: torch.device | str) -> Split:
        """The same split with images and labels on a device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of shape and contents; computed once, so the tensors must not change."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        if self.mean is not None:
            digest.update(repr((self.mean, self.std)).encode())
        for tensor in (self.images, self.labels):
            for part in tensor.split(128):  # bounds the copy of images that lie in a file
                digest.update(part.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def image_hashes(self) -> frozenset[bytes]:
        """SHA-1 of each image as it is stored: what tells whether splits share images."""
        return frozenset(
            hashlib.sha1(image.cpu().contiguous().numpy().tobytes()).digest()
            for image in self.images
        )


@dataclass(frozen=True, eq=False)
class Splits:
    """The four splits of a data set.

    Reward and test images are disjoint from each other and from all the rest; calibration images
    may be training images.

    Attributes:
        train: what the weights were fitted to, or may be.
        calibration: what layer statistics are gathered on.
        reward: what a search may look at, again and again.
        test: what is looked at once, after the search.
        classes: how many classes there are.
    """

    train: Split
    calibration: Split
    reward: Split
    test: Split
    classes: int


def stratified_order(labels: NDArray[np.integer], seed: int) -> NDArray[np.intp]:
    """A shuffled order of indices in which any stretch holds the classes in equal shares.

    The i-th of a class's n shuffled images is put at (i + 1/2) / n of the way, so that a stretch
    has each class's proportional share to within one image or so.

    Args:
        labels: ``(N,)`` class indices.
        seed: of the shuffle.

    Returns:
        A permutation of 0 ... N - 1.
    """
    # RandomState's stream is frozen for good, a Generator's is not, and a shuffle that changed
    # with NumPy would leak training images into test.
    shuffled = np.random.RandomState(seed).permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(place[shuffled], kind="stable")]


def require(condition: bool, demand: str, got: object) -> None:
    """Raise a ValueError that says what is demanded and what was got."""
    if not condition:
        raise ValueError(f"{demand}, got {got}")


def _tensor(array: Tensor | NDArray[np.generic]) -> Tensor:
    """A tensor as it is; an array with its width put right: float32, uint8 or int64."""
    if isinstance(array, Tensor):
        return array
    array = np.asarray(array)
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
    elif array.dtype.kind in "iu" and array.ndim == 1:
        array = array.astype(np.int64, copy=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of read-only arrays: nothing writes to them
        return torch.from_numpy(array)
