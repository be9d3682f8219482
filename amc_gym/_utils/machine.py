"""The machine: CPU, cores, memory and devices, which measured figures depend on."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

import torch

from amc_gym._utils.arguments import described, shown


@cache
def processor() -> str:
    """Return the CPU's model."""
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


def cores() -> int:
    """Return how many cores this process may use, which in containers are often fewer than all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Return the bytes of memory that are free for this process, including cached files."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable"):
                free = int(line.split()[1]) * 1024
        group = Path("/sys/fs/cgroup")  # the container's limit, if there is one
        limit = int((group / "memory.max").read_text())
        free = min(free, max(0, limit - int((group / "memory.current").read_text())))
    except (OSError, ValueError):
        pass  # not Linux, or no limit ("max")
    return free


def device_of(name: str | torch.device) -> torch.device:
    """Return the device of a name; "auto" is a GPU if there is one.

    Raises:
        TypeError: ``name`` is not a name.
        ValueError: the device is not available, or cannot compute.
    """
    if not isinstance(name, str | torch.device):
        raise TypeError(f"device must be a name such as 'auto' or 'cpu', not {described(name)}")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.empty(0, device=str(name)).device
    except Exception as error:  # torch's backends may raise anything
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"device {shown(str(name))} is not available: {reason}; choose 'auto' or 'cpu'"
        ) from error
    if found.type == "meta":
        raise ValueError("device 'meta' holds no numbers to compute with: choose 'auto' or 'cpu'")
    return found
