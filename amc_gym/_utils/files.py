"""Files that are whole or not there: an interrupted program never leaves half of one.

A file is written beside its place under a name of its own, forced to disk and renamed, and then
the folder is forced to disk: a kill, a full disk or a power cut leaves the old file or the new one.
What a killed process leaves behind ends in ``.partial`` and goes when the file is written next.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

try:
    import fcntl
except ImportError:  # not on every system
    fcntl = None

PARTIAL = ".partial"

ABANDONED = 86_400
"""Seconds after which an unfinished file counts as left behind where no lock can tell."""

UNSYNCABLE = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""Errors of file systems that cannot force a folder to disk."""


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file, text in UTF-8, and return its path.

    Several processes may write the same file at once: the last one's content stays.

    Raises:
        OSError: as ``replacing``.
    """
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return path


def write_json(path: Path, document: Any) -> Path:
    """Write a document, one line for each of its entries, as ``write_whole`` does."""
    return write_whole(path, json.dumps(document, indent=1) + "\n")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` when the block ends without an exception.

    Raises:
        OSError: it cannot be written, for want of room perhaps; the error names ``path``, which is
            as it was.
    """
    sweep(path.parent, path.name)
    with _named(path):
        partial, file = _partial(path)
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                if os.name == "nt":  # an open file cannot be renamed there
                    file.close()
                os.replace(partial, path)  # before it is closed, which would end its lock
        finally:
            partial.unlink(missing_ok=True)
        _sync(path.parent)


@contextmanager
def replacing_text(path: Path) -> Iterator[TextIO]:
    """Open a text file in UTF-8, lines ended as they are written, as ``replacing`` does."""
    with replacing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.flush()
        text.detach()


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove unfinished files whose writers are dead.

    Args:
        folder: where they are.
        name: of the file that they were to become; None: any.
    """
    wanted = ".+" if name is None else re.escape(name)
    pattern = re.compile(rf"{wanted}\.[0-9a-f]+{re.escape(PARTIAL)}")
    with suppress(OSError):
        names = [entry for entry in os.listdir(folder) if pattern.fullmatch(entry)]
        for entry in names:
            remove_if_dead(folder / entry)


def remove_if_dead(path: Path) -> None:
    """Remove a file unless a living process holds its lock.

    A lock tells what the number of a process does not: numbers come again, and differ between
    containers that share a folder.
    """
    with suppress(OSError), path.open("rb") as file:
        try:
            if not lock(file, wait=False):
                return
        except OSError:  # a system or a file system without locks
            if time.time() - path.stat().st_mtime < ABANDONED:
                return
        path.unlink()


def lock(file: BinaryIO | int, *, wait: bool = True) -> bool:
    """Lock an open file until it is closed, by the end of the process at the latest.

    Args:
        file: any open file, or its descriptor.
        wait: for another process that has locked it; otherwise the answer may be False.

    Raises:
        OSError: there are no locks here.
    """
    if fcntl is None:
        raise OSError(errno.ENOTSUP, "files cannot be locked on this system")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of what they also do ``alone`` in this folder, where it has locks.

    For what takes milliseconds.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # folders cannot be opened on every system
        yield
        return
    try:
        with suppress(OSError):
            lock(descriptor)
        yield
    finally:
        if fcntl is not None:
            with suppress(OSError):  # closing does not do where a fork has the descriptor too
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _partial(path: Path) -> tuple[Path, BinaryIO]:
    """Return a new file beside ``path``, open and locked."""
    while True:
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")
        file = partial.open("xb")
        with suppress(OSError):
            lock(file)
        if partial.exists():  # else somebody swept it away before it was locked
            return partial, file
        file.close()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of the system name ``path``, rather than nothing or a file that the user never saw."""
    try:
        yield
    except OSError as error:
        told = error.filename
        if error.errno is None or (told is not None and not str(told).endswith(PARTIAL)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _sync(folder: Path) -> None:
    """Force a folder's entries to disk, where the system can."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one may write to a folder that one may not list
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSYNCABLE:
            raise
    finally:
        os.close(descriptor)
