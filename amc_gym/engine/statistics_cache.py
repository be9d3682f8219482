"""Statistics of calibration images, cached in files for later processes.

A file is named by everything that its numbers depend on: contents of weights and images, the
network's outputs, and the arithmetic of this machine.  It holds tensors and a checksum, and nothing
that could be executed.  When there are too many files, the least recently used are deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from amc_gym._utils import documents
from amc_gym._utils.files import sweep, write_whole
from amc_gym._utils.machine import processor
from amc_gym._utils.paths import cache_root
from amc_gym._utils.provenance import versions
from amc_gym.tasks.fingerprints import of_outputs
from amc_gym.tasks.task import CompressionTask

VERSION = 1
"""Version of how statistics are gathered: raise it when they change."""

SMALLEST = 16 * 2**20
"""Bytes of calibration images above which statistics are cached; fewer take only seconds."""

GIGABYTES = "AMC_STATISTICS_GB"
"""Environment variable that limits the cache's size; 0 turns the cache off."""

DEFAULT_GIGABYTES = "4"

CHECKSUM, ORDER = "sha256", "order"
"""Entries of a file's metadata: the checksum of its tensors, and their names in order (JSON), which
safetensors does not keep although sums over layers may depend on it."""


def cached(
    name: str, task: CompressionTask, variant: str, make: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return statistics from an earlier process's file, or compute them and write such a file.

    Args:
        name: of the statistics.
        task: the task whose statistics they are.
        variant: what else they depend on, such as the form in which the network is run.
        make: computes them; called if there is no file or it is damaged.

    Raises:
        ValueError: $AMC_STATISTICS_GB is not a number.
    """
    most = _limit()
    if not most or task.calibration.nbytes < SMALLEST:
        return make()
    path = folder() / f"{name}-{_key(task, variant)}.safetensors"
    found = _read(path)
    if found is not None:
        return found
    made = make()
    _write(path, made, most)
    return made


def folder() -> Path:
    """Return the folder of the files, which may be deleted at any time."""
    return cache_root() / "statistics"


def _limit() -> int:
    """Return the limit on the total size of the files, in bytes."""
    setting = os.environ.get(GIGABYTES) or DEFAULT_GIGABYTES
    try:
        return int(max(0.0, float(setting)) * 1e9)
    except (ValueError, OverflowError):
        raise ValueError(
            f"the environment variable {GIGABYTES} must be a number of gigabytes, or 0 to turn the "
            f"cache off, not {setting!r}"
        ) from None


def _key(task: CompressionTask, variant: str) -> str:
    """Return a name made of everything that the numbers depend on.

    It includes the network's outputs as well as its weights, because code may change while weights
    do not.
    """
    content = {
        "version": VERSION,
        "versions": versions(),
        # Processors with the same instructions may still get other kernels.
        "arithmetic": [torch.backends.cpu.get_cpu_capability(), processor()],
        "device": str(next(task.model.parameters()).device),
        "task": dict(task.source).get("task"),
        "part": task.part,
        "objective": task.objective.name,
        "fingerprints": [task.fingerprints[each] for each in ("model", "calibration")],
        "outputs": of_outputs(task.model, task.few, task.part),
        "variant": variant,
    }
    return documents.checksum(content)[:32]


def _read(path: Path) -> dict[str, Tensor] | None:
    """Return a file's tensors; None if there is no file, and with a warning if it is damaged."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {
                name: file.get_tensor(name) for name in json.loads(metadata.get(ORDER, "[]"))
            }
        if metadata.get(CHECKSUM) == _checksum(tensors):
            os.utime(path)  # marks it as recently used
            return tensors
    except (OSError, SafetensorError, ValueError, TypeError):
        pass
    warnings.warn(f"{path} is damaged: its statistics are computed again", stacklevel=2)
    return None


def _write(path: Path, tensors: Mapping[str, Tensor], most: int) -> None:
    """Write a file if there is room for it once older ones are deleted."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    size = sum(tensor.nbytes for tensor in whole.values())
    if size > most:
        return
    metadata = {CHECKSUM: _checksum(whole), ORDER: json.dumps(list(whole))}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(path.parent, most - size)
        write_whole(path, save(whole, metadata))
    except OSError as error:  # the statistics exist; the next process computes them again
        warnings.warn(f"statistics are not cached: {error}", stacklevel=2)


def _make_room(directory: Path, most: int) -> None:
    """Delete the least recently used files until the rest fits."""
    sweep(directory)
    files = {}
    for path in directory.glob("*.safetensors"):
        status = path.stat()
        files[path] = status.st_mtime, status.st_size
    left = sum(size for _, size in files.values())
    for path in sorted(files, key=lambda each: files[each]):
        if left <= most:
            return
        path.unlink(missing_ok=True)
        left -= files[path][1]


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
