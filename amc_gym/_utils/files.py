"""Files that are complete or do not exist: an interrupted program never leaves half of one.

A file is written beside its final place under a unique name, flushed to disk and renamed, and then
the folder is flushed: a kill, a full disk or a power cut leaves the old file or the new one.  What
a killed process leaves ends in ``.partial`` and is removed when the file is written next.
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
except ImportError:  # not available on every system
    fcntl = None

PARTIAL = ".partial"

ABANDONED = 86_400
"""Seconds after which an unfinished file counts as abandoned if there are no locks."""

UNSYNCABLE = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""Errors of file systems that cannot flush a folder to disk."""


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file, text in UTF-8, and return its path.

    Several processes may write the same file at once; the last content stays.

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
    """Open a file that replaces ``path`` when the block ends without an exception.

    Raises:
        OSError: it cannot be written, for example because the disk is full; the error names
            ``path``, which is unchanged.
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
                os.replace(partial, path)  # before it is closed, which would release its lock
        finally:
            partial.unlink(missing_ok=True)
        _sync(path.parent)


@contextmanager
def replacing_text(path: Path) -> Iterator[TextIO]:
    """Open a text file in UTF-8, without newline translation, as ``replacing`` does."""
    with replacing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.flush()
        text.detach()


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove unfinished files whose writers are dead.

    Args:
        folder: folder of the files.
        name: name of the final file; None: any.
    """
    wanted = ".+" if name is None else re.escape(name)
    pattern = re.compile(rf"{wanted}\.[0-9a-f]+{re.escape(PARTIAL)}")
    with suppress(OSError):
        names = [entry for entry in os.listdir(folder) if pattern.fullmatch(entry)]
        for entry in names:
            remove_if_dead(folder / entry)


def remove_if_dead(path: Path) -> None:
    """Remove a file unless a living process holds its lock.

    A lock is more reliable than a process id, which may be reused, and which differs between
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
    """Lock an open file until it is closed, at the latest at the end of the process.

    Args:
        file: any open file, or its descriptor.
        wait: whether to wait for another process that has locked it; if not, the result may be
            False.

    Raises:
        OSError: there are no locks on this system.
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
    """Exclude other processes that are ``alone`` in this folder, if it supports locks.

    For work that takes milliseconds.
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
            with suppress(OSError):  # closing is not enough if a fork has the descriptor, too
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _partial(path: Path) -> tuple[Path, BinaryIO]:
    """Return a new file beside ``path``, open and locked."""
    while True:
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")
        file = partial.open("xb")
        with suppress(OSError):
            lock(file)
        if partial.exists():  # otherwise it was removed before it was locked
            return partial, file
        file.close()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Make system errors within the block name ``path`` instead of a temporary file."""
    try:
        yield
    except OSError as error:
        name = error.filename
        if error.errno is None or (name is not None and not str(name).endswith(PARTIAL)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _sync(folder: Path) -> None:
    """Flush a folder's entries to disk, if the system can."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder may be writable but not readable
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSYNCABLE:
            raise
    finally:
        os.close(descriptor)
