"""The machine that figures are measured on, and the versions of packages."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import torch

from amc_gym._utils.machine import cores, processor
from amc_gym._utils.provenance import versions as amc_versions

PACKAGES = ("stable-baselines3", "scipy")
"""Packages in addition to those of `amc_gym._utils.provenance`."""


def machine() -> dict[str, str | int]:
    """Return the CPU's model, the cores this process may use, the system, and the GPU if any."""
    found: dict[str, str | int] = {
        "cpu": processor(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def described(found: Mapping[str, str | int]) -> str:
    """Return a readable description of a machine."""
    return ", ".join(f"{name} {value}" for name, value in found.items())


def versions() -> dict[str, str]:
    """Return package -> installed version, for all packages that a run depends on."""
    found = amc_versions()
    for package in PACKAGES:
        try:
            found = found | {package: version(package)}
        except PackageNotFoundError:
            found = found | {package: "not installed"}
    return found
