"""Cache of decoded image files: bytes on disk with a checksum, mapped into memory when used."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import sys
import warnings
from collections import Counter, deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from amc_gym._utils import documents
from amc_gym._utils.documents import Schema, Sha256
from amc_gym._utils.files import replacing, sweep, write_json
from amc_gym._utils.paths import cache_root
from amc_gym._utils.progress import counter
from amc_gym._utils.shared_memory import mapped_tensor
from amc_gym.tasks.split import Split

UNREADABLE = ("refuse", "skip")
SHA1 = 20
"""Bytes of the hash of an image."""

VERSION = 1  # version of the files: raise it when decoding changes

OURS = re.compile(r"[0-9a-f]{32}\.(npy|json)")
"""Names of files in the cache: images, and the card that describes them."""

AHEAD = 64
"""Number of images that are decoded ahead of writing."""


class HashesSchema(Schema):
    """Hashes of a split: ``Split.fingerprint``, and the hashes of its images in order."""

    split: Sha256
    images: Annotated[str, Field(pattern=r"^([0-9a-f]{40})*$")]


class CardSchema(Schema):
    """The card of a file of decoded images."""

    sha256: Sha256
    unreadable: list[Annotated[int, Field(ge=0)]]
    files: Annotated[int, Field(ge=0)]
    decoding: dict[str, int]
    stamp: list[int] | None = None
    seal: Sha256 | None = None
    hashes: dict[Sha256, HashesSchema] = Field(default_factory=dict)


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Decoding:
    """Decoding of a file: the shorter side becomes ``resize``, then a central square ``size``."""

    resize: int
    size: int

    def __call__(self, path: Path) -> np.ndarray:
        """Return a file's image, (3, size, size) uint8.

        Raises:
            OSError: it cannot be read as an image.
        """
        from torchvision.transforms import v2 as transforms  # takes as long as importing torch

        try:
            with Image.open(path) as image:
                colour = image.convert("RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise OSError(f"{path}: {error}") from error
        # On the PIL image, whose filter was used to train and test torchvision's networks.
        pick = transforms.Compose(
            [transforms.Resize(self.resize), transforms.CenterCrop(self.size)]
        )
        return np.asarray(pick(colour)).transpose(2, 0, 1)


def tidy() -> None:
    """Remove what killed processes have left: unfinished files and incomplete pairs."""
    folder = cache_root()
    if not folder.is_dir():
        return
    sweep(folder)
    names = os.listdir(folder)
    files = Counter(name.partition(".")[0] for name in names)  # unfinished ones may be in use
    for name in names:
        if OURS.fullmatch(name) and files[name.partition(".")[0]] == 1:
            (folder / name).unlink(missing_ok=True)


class Decoded:
    """Images of files, decoded in parallel and cached when they are first asked for.

    A cache entry belongs to the files' names, sizes and modification times.  Its checksum is
    compared if its own size or time has changed since it was written, and damaged entries are
    decoded again.

    Args:
        paths: the files.
        root: the folder they are in; the cache remains valid if it is moved.
        decoding: size of the images.
    """

    def __init__(self, paths: Sequence[Path], root: Path, decoding: Decoding) -> None:
        self._paths, self._decoding = paths, decoding
        self._file = cache_root() / f"{_key(paths, root, decoding)}.npy"

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def is_there(self) -> bool:
        """Whether the images are in the cache, possibly damaged."""
        return self._file.exists()

    def split(
        self,
        labels: NDArray[np.int64],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        unreadable: str = "refuse",
    ) -> Split:
        """Return the images with their labels; hashes that are known are not computed again.

        Args:
            labels: of each file.
            mean: of each channel, for normalisation.
            std: standard deviation of each channel, likewise.
            unreadable: "refuse" files that are not images, or "skip" them; both name them.

        Returns:
            Images, uint8 ``(M, 3, size, size)``, mapped from a file.

        Raises:
            OSError: files are not images and ``unreadable`` is "refuse", or the disk is full.
        """
        card = _read_card(self._file)
        if card is None:
            card = _decode(self._paths, self._decoding, self._file)
        self._complain(card["unreadable"], unreadable)
        readable = np.delete(np.arange(len(self)), card["unreadable"])
        # Copy on write: mapped like a read-only file, but without torch's warning about those.
        images = mapped_tensor(np.load(self._file, mmap_mode="c"))
        images = images[: len(readable)]  # unreadable files leave unused rows at the end
        made = Split(images, torch.from_numpy(labels[readable]), mean, std)
        return self._recalled(made, card)

    def _complain(self, unreadable: Sequence[int], choice: str) -> None:
        broken = [self._paths[i] for i in unreadable]
        if not broken:
            return
        names = ", ".join(str(name) for name in broken[:5]) + ", ..." * (len(broken) > 5)
        if choice == "refuse" or len(broken) == len(self):
            raise OSError(
                f"{len(broken)} of {len(self)} files cannot be read as images: {names}. "
                "Remove or replace them, or leave them out with the option unreadable=skip"
            )
        warnings.warn(f"left out {len(broken)} unreadable images: {names}", stacklevel=3)

    def _recalled(self, split: Split, card: dict) -> Split:
        """Return the split with hashes from the card, or add missing hashes to the card."""
        content = (split.labels.tolist(), split.mean, split.std)
        name = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        known = card.setdefault("hashes", {}).get(name)
        if known is None:
            images = "".join(sorted(each.hex() for each in split.image_hashes))
            card["hashes"][name] = {"split": split.fingerprint, "images": images}
            card["stamp"] = _stamp(self._file)
            with suppress(OSError):  # they are computed again the next time
                write_json(
                    self._file.with_suffix(".json"), card | {"seal": documents.checksum(card)}
                )
            return split
        images = bytes.fromhex(known["images"])
        return split.recalling(
            known["split"], (images[i : i + SHA1] for i in range(0, len(images), SHA1))
        )


def _key(paths: Sequence[Path], root: Path, decoding: Decoding) -> str:
    digest = hashlib.sha256(json.dumps([VERSION, asdict(decoding)]).encode())
    for path in paths:
        status = path.stat()
        name = path.relative_to(root).as_posix()
        digest.update(f"{name}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _stamp(path: Path) -> list[int]:
    """Return size and modification time of a file, which change when it is written to."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _read_card(path: Path) -> dict | None:
    """Return the card of a file in the cache, or None if it has to be decoded (again)."""
    try:
        card = json.loads(path.with_suffix(".json").read_text("utf-8"))
        documents.check(CardSchema, card)
        stamp, seal = _stamp(path), card.pop("seal", None)
        whole = seal == documents.checksum(card) if seal or card.get("hashes") else True
        if whole and card.get("stamp") == stamp:
            return card
        if whole and _checksum(path) == card["sha256"]:
            return card | {"stamp": stamp}
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        pass
    warnings.warn(f"{path} is damaged: its images are decoded again", stacklevel=3)
    return None


def _decode(paths: Sequence[Path], decoding: Decoding, path: Path) -> dict:
    """Decode files into the cache completely or, if interrupted, not at all.

    Images are written one after the other as they come: if the disk is full, filling a mapped file
    of full size would kill the process instead of raising an error.

    Raises:
        OSError: the disk is full; the error names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (len(paths), 3, decoding.size, decoding.size)
    unreadable: list[int] = []
    bar = counter(shown=sys.stderr.isatty())
    digest = hashlib.sha256()

    def write(content: bytes) -> None:
        file.write(content)
        digest.update(content)

    try:
        with replacing(path) as file:
            write(_header(shape))
            with bar, closing(_attempts(decoding, paths)) as attempts:
                shown = bar.track(attempts, len(paths), description="decoding")
                for index, image in enumerate(shown):
                    if image is None:
                        unreadable.append(index)
                    else:
                        write(image.tobytes())
            for _ in unreadable:  # keeps one row for each file
                write(bytes(3 * decoding.size**2))
            file.flush()
            os.fsync(file.fileno())
            card = {
                "sha256": digest.hexdigest(),
                "unreadable": unreadable,
                "files": len(paths),
                "decoding": asdict(decoding),
            }
            # The card first: without its images it is small, and leads to decoding them.
            write_json(path.with_suffix(".json"), card)
    except OSError as error:
        if error.errno in NO_ROOM:
            message = f"{error.strerror}: name a folder with more room in the variable AMC_CACHE"
            raise OSError(error.errno, message, error.filename) from error
        raise
    return card


def _header(shape: tuple[int, ...]) -> bytes:
    """Return the header of a NumPy file that holds bytes of this shape."""
    file = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, description)
    return file.getvalue()


def _attempts(
    decoding: Decoding, paths: Sequence[Path]
) -> Generator[np.ndarray | None, None, None]:
    """Yield each file's image in order, decoded by threads slightly ahead; None if unreadable.

    PIL decodes and resizes without holding Python's lock.  Decoding is only slightly ahead, so that
    an interruption waits for few images, and a slow disk does not fill the memory.
    """
    import torchvision.transforms.v2  # noqa: F401  # once, before threads import it

    pool, ahead = ThreadPoolExecutor(), deque[Future[np.ndarray | None]]()
    try:
        for path in paths:
            ahead.append(pool.submit(_attempt, decoding, path))
            if len(ahead) >= AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _attempt(decoding: Decoding, path: Path) -> np.ndarray | None:
    try:
        return decoding(path)
    except OSError:
        return None
