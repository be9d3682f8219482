"""A network's file and the description beside it, which change together.

No file system renames two files at once.  So the description is written first and the network
second, and the network decides: a description alone is half an export, which readers ignore and a
new export replaces.  If there already is a pair, the new description contains the old one until the
new network has replaced the old network, and readers use the one with the network's checksum.  A
kill at any moment leaves the old pair or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from amc_gym._utils.files import alone, replacing, write_whole

REPLACED = "replaced"
"""Entry of a new description that holds the old one while the old network may still be there."""

MALFORMED = (LookupError, TypeError, AttributeError, ValueError)
"""Errors raised by reading anything but a description."""


def description_of(path: str | os.PathLike[str]) -> Path:
    """Return the path of a safetensors file's description."""
    path = Path(path)
    return path.with_name(path.name + ".json")


def put(path: Path, network: bytes, description: Mapping[str, Any], *, overwrite: bool) -> None:
    """Write a pair.

    Args:
        path: of the network.
        network: its content.
        description: its entry ``weights`` has the ``file`` and its ``sha256``.
        overwrite: whether to replace an existing pair, or other files.

    Raises:
        FileExistsError: a file exists and ``overwrite`` is False.
        OSError: there is no room; the old files are unchanged then.
    """
    with alone(path.parent):
        if not overwrite and (file := in_the_way(path)):
            raise FileExistsError(f"{file} exists: name another file, or pass overwrite=True")
        settle(path)
        old = _belonging(path)
        first = dict(description) if old is None else {**description, REPLACED: old}
        try:
            with replacing(path) as file:
                file.write(network)
                file.flush()
                os.fsync(file.fileno())  # so that a full disk shows before anything is replaced
                write_whole(description_of(path), _text(first))
        finally:
            settle(path)


def in_the_way(path: Path) -> Path | None:
    """Return a file that a pair at ``path`` would replace; None if there is none or half a pair."""
    beside = description_of(path)
    if os.path.lexists(path):
        return path
    if os.path.lexists(beside) and not _is_half(path):
        return beside
    return None


def current(description: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the description of the existing network, which may be inside the new one."""
    old = description.get(REPLACED)
    if not isinstance(old, dict):
        return description
    new = {name: value for name, value in description.items() if name != REPLACED}
    return old if _fits(old, path) else new


def settle(path: Path) -> None:
    """Clean up after an interrupted writing of a pair, so that the old, the new or no pair is left.

    A user's own files are not touched, nor is a description that fits no network.
    """
    beside = description_of(path)
    with suppress(OSError):  # readers ignore half a pair anyway
        if not path.exists():
            if _is_half(path):
                beside.unlink()
            return
        document = _read(beside)
        if document is not None and REPLACED in document:
            write_whole(beside, _text(current(document, path)))


def _is_half(path: Path) -> bool:
    """Return whether there is a description of the network at ``path``, but no network."""
    document = None if path.exists() else _read(description_of(path))
    try:
        return document is not None and document["weights"]["file"] == path.name
    except MALFORMED:
        return False


def _belonging(path: Path) -> dict[str, Any] | None:
    """Return the description of the network at ``path``; None if it has none."""
    document = _read(description_of(path))
    return document if document is not None and _fits(document, path) else None


def _fits(description: Mapping[str, Any], path: Path) -> bool:
    """Return whether a description states the checksum of the network at ``path``."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        return description["weights"]["sha256"] == found
    except (OSError, *MALFORMED):
        return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _text(description: Mapping[str, Any]) -> str:
    return json.dumps(description, indent=1) + "\n"
