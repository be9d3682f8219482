"""Labelled images, and the disjoint splits of a data set."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amc_gym._utils.arguments import described, real, whole
from amc_gym._utils.grad_mode import ordinary, recorded
from amc_gym._utils.machine import device_of
from amc_gym.compression.evaluation.stored import normalised, per_channel

UNLABELLED = -1
"""Label of images that have none."""

CHUNK = 128
"""Images that are checked together, which limits the copy made of images in a file."""


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Labelled images.  Two splits are equal only if they are the same object.

    Images are normalised floats, or bytes that are normalised when a batch is read: bytes take a
    quarter of the memory, and none where they are mapped from a file.  NumPy arrays work as well
    as tensors, and labels may be integers of any width.

    Attributes:
        images: ``(N, C, H, W)``, float32 and normalised, or uint8 with ``mean`` and ``std``.
        labels: int64 ``(N,)``, class indices from 0, on the device of the images.
        mean: of each channel, for pixel values from 0 to 1 as in torchvision; None for floats.
        std: standard deviation of each channel, likewise.

    Raises:
        TypeError: images or labels are not numbers.
        ValueError: a shape, length or dtype differs from the above, the split is empty, or a pixel
            is NaN or infinite.
    """

    images: Tensor
    labels: Tensor
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @recorded
    def __post_init__(self) -> None:
        images, labels = _tensor("images", self.images), _tensor("labels", self.labels)
        images_only = (
            "images must be (N, C, H, W), and other inputs amc_gym.Samples(inputs, targets)"
        )
        require(images.ndim == 4, images_only, tuple(images.shape))
        require(labels.ndim == 1, "labels must be (N,)", tuple(labels.shape))
        whole_numbers = not (labels.is_floating_point() or labels.is_complex())
        whole_numbers = whole_numbers and labels.dtype != torch.bool
        require(whole_numbers, "labels must be int64", labels.dtype)
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels.to(images.device, torch.int64))
        self._check_dtypes()
        require(images.numel() > 0, "images must not be empty", tuple(images.shape))
        sizes = (len(images), len(labels))
        require(sizes[0] == sizes[1], "there must be as many labels as images", sizes)
        for number, part in enumerate(images.split(CHUNK)):
            if images.dtype != torch.uint8 and not part.isfinite().all():
                bad = int((~part.isfinite()).flatten(1).any(1).nonzero()[0])
                raise ValueError(
                    f"images must be finite, and image {number * CHUNK + bad} holds NaN or "
                    "infinity: leave it out, or correct its normalisation"
                )

    def _check_dtypes(self) -> None:
        dtype = self.images.dtype
        normalised = self.mean is not None or self.std is not None
        if dtype == torch.uint8 and not normalised:
            raise ValueError(
                "images must be float32 and normalised: for uint8 images pass their normalisation, "
                "Split(images, labels, mean=(...), std=(...)), for values from 0 to 1"
            )
        if dtype != torch.uint8:
            require(dtype == torch.float32, "images must be float32, or uint8", dtype)
            require(not normalised, "mean and std are only for uint8 images", dtype)
            return
        channels = self.images.shape[1]
        for name in ("mean", "std"):
            values = _numbers(name, getattr(self, name))
            require(len(values) == channels, f"{name} must have {channels} numbers", values)
            object.__setattr__(self, name, values)
        require(min(self.std or ()) > 0, "std must be positive", self.std)

    @classmethod
    def unlabelled(
        cls,
        images: Any,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
    ) -> Split:
        """Return a split of images without labels, for distillation from a teacher's outputs.

        Raises:
            TypeError, ValueError: as ``Split``.
        """
        found = _tensor("images", images)
        return cls(found, torch.full((len(found),), UNLABELLED), mean, std)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def labelled(self) -> bool:
        """Whether the images have labels."""
        return not bool((self.labels == UNLABELLED).all())

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.images.shape[1:]))
        return f"Split({len(self)} images of {size}, {self.images.dtype})"

    def batch(self, chosen: slice | Tensor) -> Tensor:
        """Return some of the images as the network takes them: float32, normalised.

        Args:
            chosen: a slice, or a tensor of indices on the device of the images.
        """
        images = self.images[chosen]
        if self.mean is None:
            return images
        assert self.std is not None
        mean, std = (per_channel(values, images.device) for values in (self.mean, self.std))
        return normalised(images, mean, std)

    def targets_of(self, chosen: slice | Tensor) -> Tensor:
        """Return the labels of some of the images."""
        return self.labels[chosen]

    @property
    def nbytes(self) -> int:
        """Bytes of all images, as they are stored."""
        return self.images.nbytes

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels in order, ``size`` at a time; the last batch may be smaller."""
        size = whole("size", size, at_least=1)
        for start in range(0, len(self), size):
            chosen = slice(start, start + size)
            yield self.batch(chosen), self.labels[chosen]

    def first(self, n: int) -> Split:
        """Return a split of the first ``n`` images, at least one, in shared memory."""
        n = whole("n", n, at_least=1)
        if n >= len(self):
            return self  # keeps the hashes that are computed already
        return self._with(self.images[:n], self.labels[:n])

    def recalling(self, fingerprint: str, image_hashes: Iterable[bytes]) -> Split:
        """Return this split with hashes that are known already and need not be computed.

        Args:
            fingerprint: value of ``fingerprint``.
            image_hashes: value of ``image_hashes``.
        """
        # This is where a cached property keeps its value.
        vars(self).update(fingerprint=fingerprint, image_hashes=frozenset(image_hashes))
        return self

    def to(self, device: torch.device | str) -> Split:
        """Move images and labels to a device.

        Raises:
            TypeError, ValueError: as ``device_of``.
        """
        device = device_of(device)
        return self._with(self.images.to(device), self.labels.to(device))

    def as_bytes(self, like: Split) -> Split:
        """Recover the bytes that floats were made from, if normalised as ``like``, of bytes."""
        assert like.mean is not None
        assert like.std is not None
        mean, std = (per_channel(values, self.images.device) for values in (like.mean, like.std))
        images = torch.empty(self.images.shape, dtype=torch.uint8, device=self.images.device)
        for target, part in zip(images.split(CHUNK), self.images.split(CHUNK), strict=True):
            target.copy_(part.mul(std).add_(mean).mul_(255).round_().clamp_(0, 255))
        return Split(images, self.labels, like.mean, like.std)

    def _with(self, images: Tensor, labels: Tensor) -> Split:
        """Return a split of some of these images, without checking them again."""
        made = object.__new__(Split)
        for name, value in (("images", images), ("labels", labels)):
            object.__setattr__(made, name, value)
        for name in ("mean", "std"):
            object.__setattr__(made, name, getattr(self, name))
        return made

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of shape and contents; computed once, so the tensors must not change."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        if self.mean is not None:
            digest.update(repr((self.mean, self.std)).encode())
        for tensor in (self.images, self.labels):
            for part in tensor.split(CHUNK):
                digest.update(part.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def image_hashes(self) -> frozenset[bytes]:
        """SHA-1 of each image as it is stored: shows whether splits share images."""
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
        train: images that the weights are fitted to.
        calibration: images that layer statistics are gathered on.
        reward: images that a search evaluates plans on, again and again.
        test: images that are evaluated once, after the search.
        classes: number of classes.
    """

    train: Split
    calibration: Split
    reward: Split
    test: Split
    classes: int


def stratified_order(labels: NDArray[np.integer], seed: int) -> NDArray[np.intp]:
    """Return a shuffled order of indices in which every stretch has the same shares of classes.

    The i-th of the n shuffled images of a class is placed at (i + 1/2) / n of the way, so that each
    stretch holds the class's share of images to within about one image.

    Args:
        labels: ``(N,)`` class indices.
        seed: seed of the shuffle.

    Returns:
        A permutation of 0 ... N - 1, ``(N,)``.
    """
    # RandomState's stream is guaranteed never to change, unlike a Generator's, and a shuffle that
    # changed with NumPy would move training images into the test split.
    shuffled = np.random.RandomState(seed).permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(place[shuffled], kind="stable")]


def require(condition: bool, demand: str, got: object) -> None:
    """Raise a ValueError that states the demand and the value, unless the condition holds."""
    if not condition:
        raise ValueError(f"{demand}, got {got}")


def _tensor(name: str, array: Any) -> Tensor:
    """Return a plain tensor; numbers of another width become float32, uint8 or int64."""
    if isinstance(array, Tensor):
        array = ordinary(array)
        require(array.layout == torch.strided, f"{name} must be a dense tensor", array.layout)
        require(not array.is_meta, f"{name} must hold values", "a tensor on the meta device")
        return array if type(array) is Tensor and not array.requires_grad else _bare(array)
    try:
        array = np.asarray(array)
    except Exception as error:  # ragged lists, or a user's object that raises anything
        raise ValueError(f"{name} cannot be converted to an array: {error}") from error
    if array.dtype.kind not in "fiubc":
        raise TypeError(f"{name} must be a tensor or an array of numbers, not {described(array)}")
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
    elif array.dtype.kind in "iu" and array.ndim == 1:
        array = array.astype(np.int64, copy=False)
    elif not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if min(array.strides, default=0) < 0:  # a flipped view, which torch does not take
        array = array.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # read-only arrays; nothing writes to them
        return torch.from_numpy(array)


def _bare(tensor: Tensor) -> Tensor:
    """Return the plain values of a parameter or of another subclass of tensors."""
    return tensor.detach().as_subclass(Tensor)


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    if values is None:
        return ()
    try:
        found = tuple(values)
    except TypeError:
        raise TypeError(
            f"{name} must be numbers, one for each channel, not {described(values)}"
        ) from None
    return tuple(real(name, value) for value in found)
