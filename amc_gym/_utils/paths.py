"""Where files are kept on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """The folder of what can be made again: $AMC_CACHE, or amc-gym in the user's cache folder.

    That is $XDG_CACHE_HOME, or else ~/.cache.
    """
    own = os.environ.get("AMC_CACHE")
    users = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own or Path(users, "amc-gym")).expanduser()
