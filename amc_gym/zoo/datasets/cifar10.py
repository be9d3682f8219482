"""CIFAR-10 (Krizhevsky, 2009): 32 x 32 colour images, 10 classes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from amc_gym.tasks.split import Split, Splits, stratified_order
from amc_gym.zoo.datasets.registry import register

ARCHIVE = "cifar10.npz"
OFFICIAL = "cifar-10-batches-py"
CLASSES = 10
REWARD = 2000
CALIBRATION = 3000  # as in the authors' code: 60 batches of 50
SEED = 0

# ImageNet's normalisation, which torchvision and the common CIFAR-10 checkpoints use.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images (N, 32, 32, 3) and labels (N,)."""


@register("cifar10", (ARCHIVE, OFFICIAL))
def cifar10(root: Path, *, download: bool = False) -> Splits:
    """Return CIFAR-10 from ``cifar10.npz``, or else from the official files.

    The archive has MedMNIST's keys: ``train_images``, ``train_labels``, and ``val_`` and
    ``test_`` likewise.  Of its validation images, 2,000 are reward images; the others and its test
    images are the test split.  The official files have no validation images: 2,000 of their 10,000
    test images are reward images and 8,000 the test split, so that checkpoints trained on all
    50,000 training images can be evaluated.  Calibration is 3,000 training images.  All choices are
    seeded and stratified.

    Args:
        root: folder with the archive or ``cifar-10-batches-py``.
        download: whether to download the official files into ``root`` if neither is there.

    Raises:
        OSError: there is neither, or a file is damaged.
        ValueError: the archive does not hold what it should.
    """
    archive = root / ARCHIVE
    if archive.exists():
        parts = _read_archive(archive)
        train, held_back = parts["train"], parts["val"]
        reward, (images, labels) = _partition(held_back, REWARD)
        more_images, more_labels = parts["test"]
        test = np.concatenate([images, more_images]), np.concatenate([labels, more_labels])
    else:
        train, held_back = _read_official(root, download)
        reward, test = _partition(held_back, REWARD)
    calibration, _ = _partition(train, CALIBRATION)
    return Splits(
        train=_split(*train),
        calibration=_split(*calibration),
        reward=_split(*reward),
        test=_split(*test),
        classes=CLASSES,
    )


def _read_archive(path: Path) -> dict[str, Labelled]:
    try:
        # Never unpickles: objects in the archive raise a ValueError.
        with path.open("rb") as file, np.load(file) as archive:
            return {part: _labelled(archive, part, path) for part in ("train", "val", "test")}
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise OSError(f"{path} is damaged ({error}): copy it again") from error


def _labelled(archive: np.lib.npyio.NpzFile, part: str, path: Path) -> Labelled:
    keys = f"{part}_images", f"{part}_labels"
    if missing := [key for key in keys if key not in archive]:
        raise ValueError(f"{path} has no {missing[0]!r}; it holds {', '.join(archive)}")
    images, labels = archive[keys[0]], archive[keys[1]].reshape(-1)
    if images.dtype != np.uint8 or images.shape[1:] != (32, 32, 3) or len(images) != len(labels):
        raise ValueError(
            f"{path}: {keys[0]} must be uint8 (N, 32, 32, 3) with N labels, "
            f"not {images.dtype} {images.shape} with {len(labels)}"
        )
    if not (labels >= 0).all() or not (labels < CLASSES).all():
        raise ValueError(f"{path}: {keys[1]} must be classes from 0 to {CLASSES - 1}")
    return images, labels.astype(np.int64)


def _read_official(root: Path, download: bool) -> tuple[Labelled, Labelled]:
    """Return training and test images, through torchvision.

    The official batches are pickles.  torchvision compares each one with the published checksum
    before it opens it, so that nothing else is ever unpickled.
    """
    from torchvision.datasets import CIFAR10  # takes as long as importing torch

    try:
        parts = [CIFAR10(str(root), train=train, download=download) for train in (True, False)]
    except RuntimeError as error:  # a file is missing or its checksum differs
        what = "is damaged" if (root / OFFICIAL).exists() else "is not there"
        raise OSError(
            f"CIFAR-10 {what} in {root}: put {ARCHIVE} or the official {OFFICIAL} there, or "
            "have it downloaded with dataset='cifar10?download=yes'"
        ) from error
    train, test = ((part.data, np.array(part.targets, dtype=np.int64)) for part in parts)
    return train, test


def _partition(images: Labelled, first: int) -> tuple[Labelled, Labelled]:
    """Return the first images, at most half, of a seeded stratified order, and the others."""
    pixels, labels = images
    order = stratified_order(labels, SEED)
    chosen, rest = np.split(order, [min(first, -(-len(order) // 2))])
    return (pixels[chosen], labels[chosen]), (pixels[rest], labels[rest])


def _split(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Split:
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)  # a view: channels last in memory
    return Split(images, torch.from_numpy(labels), MEAN, STD)
