"""scikit-learn's handwritten digits: the data set that needs no download."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from amc_gym.tasks.limits import require_memory, side
from amc_gym.tasks.split import Split, Splits, stratified_order
from amc_gym.zoo.datasets.registry import register

IMAGES = 1797
REWARD = 400
TEST = 500
SEED = 0


@register("digits")
def digits(resolution: int = 16) -> Splits:
    """Return scikit-learn's handwritten digits: 1,797 grey images of 8 x 8, 10 classes.

    They need no download.  The images are resized bilinearly to ``resolution`` and normalised.
    Reward holds 400 images, test 500 and train the other 897, each with all classes in equal
    shares.  Calibration is all of train: at 2 x 2 feature maps, 897 images give 3,588 samples,
    enough for 512 channels.

    Args:
        resolution: side of the square images, in pixels, at least 8.

    Raises:
        ValueError: ``resolution`` is below 8, or the images would not fit into memory.
    """
    resolution = side("resolution", resolution, at_least=8)
    require_memory(
        f"digits of {resolution} x {resolution} pixels",
        3 * IMAGES * 4 * resolution**2,  # resized, normalised, and in splits
        "choose a smaller resolution=",
    )
    return _digits(resolution)


@cache
def _digits(resolution: int) -> Splits:
    pixels, target = _scans()
    images = torch.from_numpy(pixels.astype(np.float32)).reshape(-1, 1, 8, 8)
    if resolution != 8:
        images = functional.interpolate(images, size=(resolution, resolution), mode="bilinear")
    # Mean and deviation are 4.9 and 6.0 of 16 grey levels.  With integers, and a resolution of 8
    # times a power of two, each pixel is rounded once: the same fingerprint on any machine.
    images = torch.from_numpy((images.numpy() - np.float32(5)) / np.float32(6))
    labels = torch.from_numpy(target.astype(np.int64))

    reward, test, train = (
        Split(images[chosen], labels[chosen])
        for chosen in map(torch.from_numpy, digits_partition(labels.numpy()))
    )
    return Splits(train=train, calibration=train, reward=reward, test=test, classes=10)


def _scans() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return scikit-learn's images, (1797, 64), and labels, (1797,), from its file if possible.

    Importing scikit-learn takes about as long as everything else in making a first environment.
    """
    package = find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        path = Path(folder, "datasets", "data", "digits.csv.gz")
        if path.is_file():
            rows = np.loadtxt(path, delimiter=",")
            return rows[:, :-1], rows[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    pixels, target = load_digits(return_X_y=True)
    return pixels, target


def digits_partition(labels: NDArray[np.integer]) -> list[NDArray[np.intp]]:
    """Return the indices of reward, test and train images among the 1,797: three arrays."""
    order = stratified_order(labels, SEED)
    return np.split(order, [REWARD, REWARD + TEST])
