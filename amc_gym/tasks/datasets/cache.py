"""Image files decoded once: bytes on disk, with a checksum, mapped into memory when used."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torchvision.transforms import v2 as transforms

from amc_gym.files import write_json
from amc_gym.shared_memory import mapped_tensor

UNREADABLE = ("refuse", "skip")
VERSION = 1  # of what is written: raise it when decoding changes


@dataclass(frozen=True)
class Decoding:
    """How a file becomes an image: shorter side to ``resize``, then the centre ``size`` square."""

    resize: int
    size: int

    def __call__(self, path: Path) -> np.ndarray:
        """A file's image, (3, size, size) uint8.

        Raises:
            OSError: it cannot be read as an image.
        """
        try:
            with Image.open(path) as image:
                colour = image.convert("RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise OSError(f"{path}: {error}") from error
        # On the PIL image, which filters as torchvision's networks were trained and tested.
        pick = transforms.Compose(
            [transforms.Resize(self.resize), transforms.CenterCrop(self.size)]
        )
        return np.asarray(pick(colour)).transpose(2, 0, 1)


def directory() -> Path:
    """Where decoded images are kept: $AMC_CACHE, or else ~/.cache/amc-gym."""
    return Path(os.environ.get("AMC_CACHE") or "~/.cache/amc-gym").expanduser()


def decoded(
    paths: Sequence[Path], root: Path, decoding: Decoding, unreadable: str = "refuse"
) -> tuple[Tensor, list[int]]:
    """The images of files, from the cache, or decoded in parallel and put there.

    What is in the cache belongs to the files' names, sizes and times of change; its checksum is
    compared before use, and what is damaged is decoded again.

    Args:
        paths: the files.
        root: the folder they are in; a cache outlives its being moved.
        decoding: how.
        unreadable: "refuse" files that are no images, or "skip" them; both name them.

    Returns:
        Images, uint8 ``(M, 3, size, size)`` mapped from a file, and which of ``paths`` they are.

    Raises:
        OSError: files are no images and ``unreadable`` is "refuse".
    """
    path = directory() / f"{_key(paths, root, decoding)}.npy"
    card = _read_card(path)
    if card is None:
        card = _decode(paths, decoding, path)
    broken = [paths[i] for i in card["unreadable"]]
    if broken:
        names = ", ".join(str(name) for name in broken[:5]) + ", ..." * (len(broken) > 5)
        if unreadable == "refuse" or len(broken) == len(paths):
            raise OSError(
                f"{len(broken)} of {len(paths)} files cannot be read as images: {names}. "
                "Remove or replace them, or leave them out with the option unreadable=skip"
            )
        warnings.warn(f"left out {len(broken)} unreadable images: {names}", stacklevel=2)
    skipped = set(card["unreadable"])
    readable = [i for i in range(len(paths)) if i not in skipped]
    # Copy on write: mapped like a file that is only read, and torch does not mind.
    images = mapped_tensor(np.load(path, mmap_mode="c"))
    return images[: len(readable)], readable  # the rows of unreadable files are left over, last


def _key(paths: Sequence[Path], root: Path, decoding: Decoding) -> str:
    digest = hashlib.sha256(json.dumps([VERSION, asdict(decoding)]).encode())
    for path in paths:
        status = path.stat()
        name = path.relative_to(root).as_posix()
        digest.update(f"{name}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _read_card(path: Path) -> dict | None:
    """What is said of a file in the cache, or None if it is to be decoded (again)."""
    try:
        card = json.loads(path.with_suffix(".json").read_text("utf-8"))
        if _checksum(path) == card["sha256"]:
            return card
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError):
        pass
    warnings.warn(f"{path} is damaged: its images are decoded again", stacklevel=3)
    return None


def _decode(paths: Sequence[Path], decoding: Decoding, path: Path) -> dict:
    """Decode files into the cache: all of it or, if interrupted, nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.{os.getpid()}.partial")
    shape = (len(paths), 3, decoding.size, decoding.size)
    images = open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
    unreadable = []
    columns = (TextColumn("decoding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
    try:
        # PIL decodes and resizes without Python's lock, so threads do.
        with bar, ThreadPoolExecutor() as pool:
            attempts = pool.map(lambda file: _attempt(decoding, file), paths)
            for index, image in enumerate(bar.track(attempts, total=len(paths))):
                if image is None:
                    unreadable.append(index)
                else:
                    images[index - len(unreadable)] = image
        images.flush()
        del images
        card = {
            "sha256": _checksum(partial),
            "unreadable": unreadable,
            "files": len(paths),
            "decoding": asdict(decoding),
        }
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    write_json(path.with_suffix(".json"), card)
    return card


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _attempt(decoding: Decoding, path: Path) -> np.ndarray | None:
    try:
        return decoding(path)
    except OSError:
        return None
