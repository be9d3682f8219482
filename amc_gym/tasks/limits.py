"""Limits on memory and disk, checked before anything is allocated."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.filesize import decimal

from amc_gym._utils.arguments import whole
from amc_gym._utils.machine import free_memory

SHARE = 0.5
"""Share of the free memory that one data set may take: the rest is for networks and statistics."""

LARGEST_SIDE = 4096
"""Pixels: a colour image of this size takes 0.2 GB as floats, and its first feature map 4 GB."""


def side(name: str, value: object, *, at_least: int = 1) -> int:
    """Check the side of square images, in pixels, and return it.

    Raises:
        TypeError: it is not a number.
        ValueError: it is too small, or larger than ``LARGEST_SIDE``.
    """
    pixels = whole(name, value, at_least=at_least)
    if pixels > LARGEST_SIDE:
        each = decimal(4 * 3 * pixels**2)
        raise ValueError(
            f"{name} must be at most {LARGEST_SIDE}, not {pixels}: each image of {pixels} x "
            f"{pixels} pixels would take {each} of memory"
        )
    return pixels


def require_memory(what: str, nbytes: int, fix: str) -> None:
    """Refuse data that would take more than ``SHARE`` of the free memory.

    Raises:
        ValueError: they would; the message names both sizes and the fix.
    """
    free = free_memory()
    if nbytes > SHARE * free:
        raise ValueError(
            f"{what} would take {decimal(nbytes)}, but only {decimal(free)} is free: {fix}"
        )


def require_disk(what: str, nbytes: int, directory: Path, fix: str) -> None:
    """Refuse data that do not fit on the disk of a folder, which need not exist yet.

    Raises:
        ValueError: they do not fit; the message names both sizes and the fix.
    """
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    if nbytes > free:
        raise ValueError(
            f"{what} would take {decimal(nbytes)}, but only {decimal(free)} is free in "
            f"{directory}: "
            f"{fix}"
        )
