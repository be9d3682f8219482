"""Ctrl-C in the commands of this project, also while they are still being imported.

That takes seconds, in which Python would answer with a traceback of some library, and a library in
C sometimes with nothing at all.  There is nothing to clean up yet: one line, and exit status 130.
From the command's own code on, Ctrl-C is a KeyboardInterrupt, as everywhere; where that imports
what takes long, it says so by ``importing``.

To be imported before anything that takes time.
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
"""Whose modules are run as programs, by ``python -m``."""

SCRIPT = "amc-gym"
"""Name of the installed command."""

INTERRUPTED = 130
"""Exit status: 128 and the signal's number, as of programs that a shell runs."""

_happened = False
_importing_more = False


def install() -> None:
    """Answer Ctrl-C as above, if this process runs a command of this project."""
    name = program()
    main = threading.current_thread() is threading.main_thread()
    if name and main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, frame: _interrupt(name, frame))


def happened() -> bool:
    """Whether the command was interrupted, whatever a library has made of it."""
    return _happened


@contextmanager
def importing() -> Iterator[None]:
    """Ctrl-C inside is answered as while the command itself is imported."""
    global _importing_more
    _importing_more = True
    try:
        yield
    finally:
        _importing_more = False


def leave() -> int:
    """Return the exit status of an interrupted command, whose process ends without delay."""
    gc.freeze()  # Python's last collection goes through all of torch, for a second or more
    return INTERRUPTED


def program() -> str | None:
    """How the command is called that this process runs; None if it is somebody else's program."""
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
    os._exit(INTERRUPTED)  # an exception would go astray among libraries that are half imported


def _importing(frame: FrameType | None) -> bool:
    """Whether the program has not called its first function yet."""
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
