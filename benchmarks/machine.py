"""Machine that the figures were measured on: they mean nothing without it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import torch

from amc_gym._utils.machine import cores, processor
from amc_gym._utils.provenance import versions as amc_versions

PACKAGES = ("stable-baselines3", "scipy")
"""Besides those that `amc_gym._utils.provenance` names."""


def machine() -> dict[str, str | int]:
    """The processor's model, the cores this process may use, the system, and the GPU if any."""
    found: dict[str, str | int] = {
        "cpu": processor(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def described(found: Mapping[str, str | int]) -> str:
    """Describe a machine for people."""
    return ", ".join(f"{name} {value}" for name, value in found.items())


def versions() -> dict[str, str]:
    """Package -> installed version, of all that a run depends on."""
    found = amc_versions()
    for package in PACKAGES:
        try:
            found = found | {package: version(package)}
        except PackageNotFoundError:
            found = found | {package: "not installed"}
    return found
