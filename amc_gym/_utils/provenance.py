"""Versions of the packages that results depend on."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("amc-gym", "torch", "torchvision", "gymnasium", "numpy")


@cache
def versions() -> dict[str, str]:
    """Return package -> installed version, including Python's."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a checkout that is on the path but not installed
            found[package] = "not installed"
    return found
