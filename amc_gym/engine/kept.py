"""Statistics of calibration images, kept in files for the next process.

A file is named by all that its numbers depend on: content of weights and images, what the network
answers, and the arithmetic of this machine.  It holds tensors and their checksum, nothing that
could run.  Files that have not been used for the longest time go first where there are too many.
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
from amc_gym._utils.paths import cache_root
from amc_gym._utils.provenance import versions
from amc_gym.tasks.fingerprints import of_outputs
from amc_gym.tasks.task import CompressionTask

VERSION = 1
"""Version of how statistics are gathered: raise it when they change."""

SMALLEST = 16 * 2**20
"""Bytes of calibration images from which on statistics are kept: those of fewer take seconds."""

GIGABYTES = "AMC_STATISTICS_GB"
"""Environment variable that says how much is kept; with 0 nothing is kept or read."""

DEFAULT_GIGABYTES = "4"

CHECKSUM, ORDER = "sha256", "order"
"""Entries of a file's metadata: checksum of its tensors, and their names in order (JSON), which
safetensors does not keep and sums over layers may depend on."""


def kept(
    name: str, task: CompressionTask, variant: str, make: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return statistics from the file of an earlier process, or make them and leave such a file.

    Args:
        name: of the statistics.
        task: what they are about.
        variant: what they depend on besides, such as in which form the network is run.
        make: gathers them; called where there is no file, or a damaged one.

    Raises:
        ValueError: $AMC_STATISTICS_GB is no number.
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
    """Where the files are; it may be deleted at any time."""
    return cache_root() / "statistics"


def _limit() -> int:
    """Bytes that the files may take together."""
    told = os.environ.get(GIGABYTES) or DEFAULT_GIGABYTES
    try:
        return int(max(0.0, float(told)) * 1e9)
    except (ValueError, OverflowError):
        raise ValueError(
            f"the environment variable {GIGABYTES} must be a number of gigabytes, 0 for none, not "
            f"{told!r}"
        ) from None


def _key(task: CompressionTask, variant: str) -> str:
    """Return what the numbers depend on, as a name.

    What the network answers is asked although its weights are known: code may change where they do
    not.
    """
    content = {
        "version": VERSION,
        "versions": versions(),
        "arithmetic": torch.backends.cpu.get_cpu_capability(),
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
    """Return the tensors of a file; None if there is none, or with a warning if it is damaged."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in json.loads(told.get(ORDER, "[]"))}
        if told.get(CHECKSUM) == _checksum(tensors):
            os.utime(path)  # it was of use: others go before it
            return tensors
    except (OSError, SafetensorError, ValueError, TypeError):
        pass
    warnings.warn(f"{path} is damaged: its statistics are gathered again", stacklevel=2)
    return None


def _write(path: Path, tensors: Mapping[str, Tensor], most: int) -> None:
    """Write a file if there is room for it, after others that are older have gone."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    size = sum(tensor.nbytes for tensor in whole.values())
    if size > most:
        return
    told = {CHECKSUM: _checksum(whole), ORDER: json.dumps(list(whole))}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(path.parent, most - size)
        write_whole(path, save(whole, told))
    except OSError as error:  # they are there all the same, and gathered anew the next time
        warnings.warn(f"statistics are not kept: {error}", stacklevel=2)


def _make_room(directory: Path, most: int) -> None:
    """Delete files, those first that have not been used for the longest time."""
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
