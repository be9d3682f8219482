"""What the figures were measured on: they mean nothing without it."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from amc_gym.versions import versions as amc_versions

PACKAGES = ("stable-baselines3", "scipy")
"""Besides those that `amc_gym.versions` names."""


def machine() -> dict[str, str | int]:
    """The processor's model, the cores this process may use, the system, and the GPU if any."""
    found: dict[str, str | int] = {
        "cpu": _cpu(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def cores() -> int:
    """How many cores this process may use; containers often get fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Package -> installed version, of all that a run depends on."""
    found = amc_versions()
    for package in PACKAGES:
        try:
            found = found | {package: version(package)}
        except PackageNotFoundError:
            found = found | {package: "not installed"}
    return found


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or platform.machine()
