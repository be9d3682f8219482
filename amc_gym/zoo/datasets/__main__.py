"""Fetch, decode and check a data set: ``python -m amc_gym.zoo.datasets NAME [FOLDER]``."""

from __future__ import annotations

from pathlib import Path

import tyro

from amc_gym.zoo.datasets import load


def main(dataset: str, data_root: Path | None = None, /) -> None:
    """Load a data set and print what its splits hold; caches on disk exist afterwards.

    Args:
        dataset: a name, possibly with options: digits, cifar10, "cifar10?download=yes",
            imagenet, "folder?size=64&unreadable=skip".
        data_root: the folder it is read from; by default $AMC_DATA_ROOT.
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
