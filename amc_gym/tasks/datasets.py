"""Labelled images as tensors, in disjoint splits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from amc_gym.names import choose


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels. Two splits are equal only if they are the same object.

    Attributes:
        images: float32 ``(N, C, H, W)``, normalised.
        labels: int64 ``(N,)``, class indices from 0.

    Raises:
        ValueError: a shape, length or dtype differs from the above, or the split is empty.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        _require(self.images.ndim == 4, "images must be (N, C, H, W)", tuple(self.images.shape))
        _require(self.labels.ndim == 1, "labels must be (N,)", tuple(self.labels.shape))
        _require(self.images.dtype == torch.float32, "images must be float32", self.images.dtype)
        _require(self.labels.dtype == torch.int64, "labels must be int64", self.labels.dtype)
        _require(self.images.numel() > 0, "images must not be empty", tuple(self.images.shape))
        sizes = (len(self.images), len(self.labels))
        _require(sizes[0] == sizes[1], "there must be as many labels as images", sizes)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of shape and contents; computed once, so the tensors must not change."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        for tensor in (self.images, self.labels):
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Splits:
    """The four splits of a data set.

    Reward and test images are disjoint from each other and from all the rest; calibration images
    may be training images.

    Attributes:
        train: what the weights were fitted to.
        calibration: what layer statistics are gathered on.
        reward: what a search may look at, again and again.
        test: what is looked at once, after the search.
    """

    train: Split
    calibration: Split
    reward: Split
    test: Split


DIGITS_REWARD = 400
DIGITS_TEST = 500
DIGITS_SEED = 0


def digits(resolution: int = 16) -> Splits:
    """scikit-learn's handwritten digits: 1,797 grey images of 8 x 8, 10 classes, no download.

    The images are resized bilinearly to ``resolution`` and normalised. Reward holds 400 images,
    test 500, train the other 897, each with all classes in equal shares. Calibration is all of
    train: at 2 x 2 feature maps, 897 images give 3,588 samples, enough for 512 channels.

    Args:
        resolution: side of the square images, in pixels, at least 8.

    Raises:
        ValueError: ``resolution`` is below 8.
    """
    _require(resolution >= 8, "resolution must be at least 8", resolution)
    return _digits(resolution)


@cache
def _digits(resolution: int) -> Splits:
    # Here, since the import takes a second that users of other data sets need not spend.
    from sklearn.datasets import load_digits

    pixels, target = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels.astype(np.float32)).reshape(-1, 1, 8, 8)
    if resolution != 8:
        images = functional.interpolate(images, size=(resolution, resolution), mode="bilinear")
    # Mean and deviation are 4.9 and 6.0 of 16 grey levels. Whole numbers, and a resolution that is
    # 8 times a power of two, leave one rounding per pixel: the same fingerprint on any machine.
    images = torch.from_numpy((images.numpy() - np.float32(5)) / np.float32(6))
    labels = torch.from_numpy(target.astype(np.int64))

    reward, test, train = (
        Split(images[chosen], labels[chosen])
        for chosen in map(torch.from_numpy, digits_partition(target))
    )
    return Splits(train=train, calibration=train, reward=reward, test=test)


def digits_partition(labels: NDArray[np.integer]) -> list[NDArray[np.intp]]:
    """Which of the 1,797 images are reward, test and train images: three arrays of indices."""
    order = stratified_order(labels, DIGITS_SEED)
    return np.split(order, [DIGITS_REWARD, DIGITS_REWARD + DIGITS_TEST])


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


DATASETS: dict[str, Callable[[Path | None], Splits]] = {
    "digits": lambda data_root: digits(),
}
PLANNED = ("cifar10", "imagenet", "folder")


def load(dataset: str, data_root: Path | None = None) -> Splits:
    """The splits of a data set, loaded once per process.

    Args:
        dataset: a name in ``DATASETS``.
        data_root: folder of the data sets that are read from disk; "digits" needs none.

    Raises:
        ValueError: the name is unknown, or the data set is not available yet.
    """
    return DATASETS[choose("dataset", dataset, DATASETS, planned=PLANNED)](data_root)


def _require(condition: bool, demand: str, got: object) -> None:
    if not condition:
        raise ValueError(f"{demand}, got {got}")
