"""Image folders: ``train/<class>/*`` and ``val/<class>/*``, such as ImageNet's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from amc_gym._utils.arguments import whole
from amc_gym._utils.names import choose
from amc_gym._utils.paths import cache_root
from amc_gym.tasks.limits import require_disk, side
from amc_gym.tasks.split import UNLABELLED, Split, Splits, require
from amc_gym.zoo.datasets.cache import UNREADABLE, Decoded, Decoding, tidy
from amc_gym.zoo.datasets.cifar10 import MEAN, STD
from amc_gym.zoo.datasets.listing import listed
from amc_gym.zoo.datasets.registry import register

REWARD = 3000  # as in the paper, for ImageNet
CALIBRATION = 3000  # as in the authors' code: 60 batches of 50


@register("folder", ("train",))
def folder(
    root: Path,
    *,
    size: int = 224,
    resize: int | None = None,
    train: int = CALIBRATION,
    reward: int = 0,
    unreadable: str = "refuse",
) -> Splits:
    """Return a user's images in ``root/train/<class>`` and ``root/val/<class>``.

    Reward is 3,000 images of val, at most half of them unless ``reward`` is given, and test the
    rest; calibration is 3,000 images of train.  All choices are seeded and stratified.  The images
    are decoded once, into a cache, see ``amc_gym.zoo.datasets.cache``; they stay bytes in a mapped
    file and are normalised with ImageNet's mean and deviation when they are used.

    Args:
        root: the folder.
        size: side of the square images, in pixels.
        resize: length of the shorter side before the centre is cropped; None: 8/7 of ``size``.
        train: number of decoded training images, for fine-tuning; at least the number of
            calibration images, which are the first of them.
        reward: number of reward images from val, at least one and not all; 0: 3,000, at most
            half.
        unreadable: "refuse" files that are not images, or "skip" them; both name them.

    Raises:
        OSError: a folder is missing or empty, or a file is not an image and is refused.
        ValueError: val has a class that train lacks, or an option is out of range.
    """
    choose("option unreadable", unreadable, UNREADABLE)
    size = side("size", size)
    resize = _shorter_side(size) if resize is None else side("resize", resize)
    require(resize >= size, f"resize must be at least the size of {size}", resize)
    train = whole("train", train, at_least=1)

    classes = _classes(root / "train")
    _refuse_flat(root / "val")
    if unknown := set(_classes(root / "val")) - set(classes):
        raise ValueError(f"{root / 'val'} has classes that train lacks: {sorted(unknown)[:5]}")
    decoding = Decoding(resize, size)

    training = listed(root / "train", classes, max(train, CALIBRATION))
    if not training[0]:
        raise OSError(f"{root / 'train'} holds no images: put images in its folders of classes")
    files, labels = listed(root / "val", classes)
    n = _judging(len(files), whole("reward", reward, at_least=0), root / "val")
    tidy()
    chosen = (training, (files[:n], labels[:n]), (files[n:], labels[n:]))
    parts = [(Decoded(files, root, decoding), labels) for files, labels in chosen]
    count = sum(len(files) for files, _ in parts if not files.is_there)
    require_disk(
        f"{count:,} images of {size} x {size} pixels",
        count * 3 * size * size,
        cache_root(),
        "choose a smaller size=, or free some space",
    )
    splits = [files.split(labels, MEAN, STD, unreadable) for files, labels in parts]
    return Splits(
        train=splits[0],
        calibration=splits[0].first(CALIBRATION),
        reward=splits[1],
        test=splits[2],
        classes=len(classes),
    )


@register("imagenet", ("imagenet", "train"))
def imagenet(
    root: Path, *, train: int = CALIBRATION, reward: int = 0, unreadable: str = "refuse"
) -> Splits:
    """Return ImageNet (ILSVRC 2012) in ``root/imagenet`` or ``root``, at 224 x 224; see ``folder``.

    Raises:
        OSError, ValueError: as ``folder`` does.
        ValueError: there are not 1,000 classes.
    """
    inner = root / "imagenet"
    root = inner if inner.is_dir() else root
    found = len(_classes(root / "train"))
    require(found == 1000, f"ImageNet has 1,000 classes; {root / 'train'} must have them", found)
    return folder(root, train=train, reward=reward, unreadable=unreadable)


def photographs(root: Path, size: int, *, unreadable: str = "refuse") -> Split:
    """Return all images in a folder, at any depth, without labels and in the order of their names.

    They are resized, cropped, normalised and cached as in ``folder``.

    Args:
        root: the folder.
        size: side of the square images, in pixels.
        unreadable: "refuse" files that are not images, or "skip" them; both name them.

    Raises:
        OSError: there are no images, or a file is not an image and is refused.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS

    files = sorted(path for path in root.rglob("*") if path.name.lower().endswith(IMG_EXTENSIONS))
    if not files:
        raise OSError(f"{root} holds no images")
    labels = np.full(len(files), UNLABELLED, dtype=np.int64)
    return Decoded(files, root, Decoding(_shorter_side(size), size)).split(
        labels, MEAN, STD, unreadable
    )


def _shorter_side(size: int) -> int:
    """Return the shorter side of images before their centre is cropped, as in torchvision."""
    return round(size * 8 / 7)


def _classes(directory: Path) -> dict[str, int]:
    """Return class -> index, in the order of the folders' names."""
    from torchvision.datasets.folder import find_classes  # takes as long as importing torch

    try:
        return find_classes(directory)[1]
    except OSError as error:
        raise OSError(
            f"{directory} must be a folder with one folder of images for each class: {error}"
        ) from error


def _refuse_flat(directory: Path) -> None:
    """Refuse a folder of unsorted images, as ILSVRC distributes them.

    Raises:
        OSError: the images are not sorted; the message has the command that sorts them.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS

    if not directory.is_dir():
        return  # the search for its classes reports that
    with os.scandir(directory) as entries:
        loose = next((e.name for e in entries if e.name.lower().endswith(IMG_EXTENSIONS)), None)
    if loose is not None:
        raise OSError(
            f"{directory} has images that are in no class's folder, such as {loose!r}: sort them "
            f"by their labels with 'python -m amc_gym.zoo.datasets.sort {directory} "
            "LOC_val_solution.csv', or move them away"
        )


def _judging(total: int, wanted: int, directory: Path) -> int:
    """Return the number of reward images; for 0: ``REWARD`` or half, whichever is smaller.

    Raises:
        OSError: there are too few images.
        ValueError: no test image would be left.
    """
    if total < 2:
        raise OSError(f"{directory} holds {total} images, which is too few: add images")
    if wanted >= total:
        raise ValueError(
            f"reward must be less than the {total} images of {directory}, so that at least one is "
            f"a test image, not {wanted}"
        )
    return wanted or min(REWARD, total // 2)
