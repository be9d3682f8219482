"""Imagenette (Howard, 2019): ten classes of ImageNet, for networks trained from scratch."""

from __future__ import annotations

from pathlib import Path

from amc_gym.tasks.split import Splits
from amc_gym.zoo.datasets.folder import folder
from amc_gym.zoo.datasets.registry import register

FOLDERS = ("imagenette160", "imagenette2-160", "imagenette2-320", "imagenette2")
"""Folders in the root that may hold the photographs; the first that exists is used."""

TRAIN = 10_000
"""More than the number of training images in every edition of the data set."""

REWARD = 1000


@register("imagenette", FOLDERS)
def imagenette(root: Path, *, unreadable: str = "refuse") -> Splits:
    """Return Imagenette at 160 x 160, for networks as large as those for ImageNet.

    All 9,469 images of ``train`` are training images, 3,000 of them for calibration; 1,000 of
    ``val`` are reward images and the other 2,925 the test split.

    Args:
        root: folder with ``imagenette160`` or one of the published folders
            (``imagenette2-160``, ``imagenette2-320``, ``imagenette2``), or such a folder itself.
        unreadable: "refuse" files that are not images, or "skip" them; both name them.

    Raises:
        OSError, ValueError: as ``folder`` does.
    """
    return _splits(root, 160, unreadable)


@register("imagenette96", FOLDERS)
def imagenette96(root: Path, *, unreadable: str = "refuse") -> Splits:
    """Return Imagenette at 96 x 96, for small networks; see ``imagenette``.

    Raises:
        OSError, ValueError: as ``folder`` does.
    """
    return _splits(root, 96, unreadable)


def _splits(root: Path, size: int, unreadable: str) -> Splits:
    inside = next((root / name for name in FOLDERS if (root / name).is_dir()), root)
    # Not cropped, because the subject of such a small image often reaches to its edges.
    return folder(inside, size=size, resize=size, train=TRAIN, reward=REWARD, unreadable=unreadable)
