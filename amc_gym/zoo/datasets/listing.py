"""Images of a folder by class, ordered so that any stretch holds the classes in equal shares.

Listing and ordering ImageNet's 1.3 million files takes longer than reading the few that are chosen,
so the choice is cached until a folder in it changes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amc_gym._utils.documents import checksum
from amc_gym._utils.files import write_json
from amc_gym._utils.paths import cache_root
from amc_gym.tasks.split import stratified_order

SEED = 0

MANY = 10_000
"""Number of files above which a listing is cached; fewer are listed quickly."""

SETTLED = 2 * 10**9
"""Nanoseconds since a folder's last change, because file systems have coarse clocks."""


def listed(
    directory: Path, classes: Mapping[str, int], most: int | None = None
) -> tuple[list[Path], NDArray[np.int64]]:
    """Return image files and their labels, seeded and stratified.

    Args:
        directory: with a folder for each class; some may be missing.
        classes: class -> index.
        most: number of files to return, the first ones; None: all.
    """
    file = _place(directory, classes, most)
    known = _known(file, directory)
    if known is not None:
        return known
    files, labels, total = _found(directory, classes, most)
    if total >= MANY:
        _keep(file, directory, files, labels)
    return files, labels


def _found(
    directory: Path, classes: Mapping[str, int], most: int | None
) -> tuple[list[Path], NDArray[np.int64], int]:
    """Return files, labels, and the total number of files."""
    from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

    samples = make_dataset(
        str(directory), dict(classes), extensions=IMG_EXTENSIONS, allow_empty=True
    )
    samples.sort()  # file systems list files in any order
    labels = np.array([label for _, label in samples], dtype=np.int64)
    chosen = stratified_order(labels, SEED)[:most]
    return [Path(samples[i][0]) for i in chosen], labels[chosen], len(samples)


def _place(directory: Path, classes: Mapping[str, int], most: int | None) -> Path:
    key = checksum([str(directory), dict(classes), most, SEED])
    return cache_root() / "listings" / f"{key[:32]}.json"


def _known(file: Path, directory: Path) -> tuple[list[Path], NDArray[np.int64]] | None:
    """Return a cached listing; None if a folder has changed since, or the file is damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        content = json.loads(file.read_text("utf-8"))
        seal = content.pop("sha256")
        if seal == checksum(content) and all(
            (directory / name).stat().st_mtime_ns == then for name, then in content["folders"]
        ):
            files = [directory / name for name in content["files"]]
            return files, np.array(content["labels"], dtype=np.int64)
    return None


def _keep(file: Path, directory: Path, files: list[Path], labels: NDArray[np.int64]) -> None:
    """Write a listing, unless a folder is so new that a change might go unnoticed."""
    with suppress(OSError):  # it is made again the next time
        folders = [Path(path) for path, _, _ in os.walk(directory, followlinks=True)]
        times = {str(each.relative_to(directory)): each.stat().st_mtime_ns for each in folders}
        if max(times.values()) + SETTLED > time.time_ns():
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "folders": sorted(times.items()),
            "files": [each.relative_to(directory).as_posix() for each in files],
            "labels": labels.tolist(),
        }
        write_json(file, content | {"sha256": checksum(content)})
