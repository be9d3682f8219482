"""Fetch, decode and check a data set: ``python -m amc_gym.zoo.datasets NAME [FOLDER]``."""

from __future__ import annotations

from pathlib import Path

import tyro

from amc_gym.zoo.datasets import load


def main(dataset: str, data_root: Path | None = None, /) -> None:
    """Load a data set and say what its splits hold; what it keeps on disk is there afterwards.

    Args:
        dataset: a name, and options if need be: digits, cifar10, "cifar10?download=yes",
            imagenet, "folder?size=64&unreadable=skip".
        data_root: the folder it is read from; without it, $AMC_DATA_ROOT.
    """
    try:
        splits = load(dataset, data_root)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    for name in ("train", "calibration", "reward", "test"):
        split = getattr(splits, name)
        shape = " x ".join(map(str, split.images.shape[1:]))
        print(f"{name:<12}{len(split):>9,} images of {shape}, sha256 {split.fingerprint[:16]}")
    print(f"{splits.classes} classes")


if __name__ == "__main__":
    tyro.cli(main)
