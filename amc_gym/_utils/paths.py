"""Folders of this package on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """Return the cache folder: $AMC_CACHE, or amc-gym in the user's cache folder.

    The latter is $XDG_CACHE_HOME, or ~/.cache.  Everything in it can be made again.
    """
    own = os.environ.get("AMC_CACHE")
    users = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own or Path(users, "amc-gym")).expanduser()
