"""Ctrl-C in the commands of this project, also during their imports.

Importing takes seconds, during which Python would answer with a traceback of some library, and a C
library sometimes with nothing at all.  There is nothing to clean up yet, so the answer is one line
and exit status 130.  In the command's own code Ctrl-C is a KeyboardInterrupt as usual; slow imports
there are marked by ``importing``.

Must be imported before anything that takes time.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from types import FrameType

PACKAGES = ("amc_gym", "benchmarks")
"""Packages whose modules are run as programs, by ``python -m``."""

SCRIPT = "amc-gym"
"""Name of the installed command."""

INTERRUPTED = 130
"""Exit status: 128 plus the signal's number, as usual in shells."""

_happened = False
_importing_more = False


def install() -> None:
    """Install this handling of Ctrl-C, if this process runs a command of this project."""
    name = program()
    main = threading.current_thread() is threading.main_thread()
    if name and main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, frame: _interrupt(name, frame))


def happened() -> bool:
    """Return whether the command was interrupted, whatever error a library made of it."""
    return _happened


@contextmanager
def importing() -> Iterator[None]:
    """Handle Ctrl-C within the block as during the import of the command."""
    global _importing_more
    _importing_more = True
    try:
        yield
    finally:
        _importing_more = False


def leave() -> int:
    """Return the exit status of an interrupted command, and make its process end quickly."""
    gc.freeze()  # Python's final garbage collection would scan all of torch for a second or more
    return INTERRUPTED


def program() -> str | None:
    """Return the name of the command of this process; None if it is another program."""
    if not sys.argv or not sys.orig_argv:
        return None
    if sys.argv[0] == "-m":  # the module's package is being imported
        module = sys.orig_argv[-len(sys.argv)].removeprefix("-m")
    elif PurePath(sys.argv[0]).stem == SCRIPT:
        return SCRIPT
    else:
        return None
    if module.partition(".")[0] not in PACKAGES:
        return None
    return SCRIPT if module == PACKAGES[0] else f"python -m {module}"


def _interrupt(name: str, frame: FrameType | None) -> None:
    global _happened
    _happened = True
    if not (_importing_more or _importing(frame)):
        raise KeyboardInterrupt
    sys.stderr.write(f"{name}: interrupted\n")
    sys.stderr.flush()
    os._exit(INTERRUPTED)  # an exception might be swallowed by half-imported libraries


def _importing(frame: FrameType | None) -> bool:
    """Return whether the program is still importing and has not called its first function."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    for outer in reversed(frames):
        code, module = outer.f_code, outer.f_globals.get("__name__")
        if code.co_filename == "<frozen runpy>":
            continue
        if code.co_name == "<module>" and module == "__main__":
            continue
        return code.co_filename.startswith("<frozen importlib")
    return True


install()
