"""Files that are whole or not there: an interrupted program never leaves half of one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file, text in UTF-8, and return its path.

    Several processes may write the same file at once: the last one's content stays.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def write_json(path: Path, document: Any) -> Path:
    """The same for a document, one line for each of its entries."""
    return write_whole(path, json.dumps(document, indent=1) + "\n")
