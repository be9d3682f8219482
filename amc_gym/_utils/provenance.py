"""Versions of what results depend on."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("amc-gym", "torch", "torchvision", "gymnasium", "numpy")


@cache
def versions() -> dict[str, str]:
    """Package -> installed version, Python's own included."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a checkout on the path without an install
            found[package] = "not installed"
    return found
