"""Worker processes that end when their parent ends in any way, and clean up after it.

A killed process cannot notify its workers.  So each worker waits for the end of a pipe whose other
end the parent holds, and from time to time checks its parent's id.  The kernel's notification
(Linux' PR_SET_PDEATHSIG) is not enough: it is sent when the *thread* ends that started the worker,
and for workers of a fork server it watches the server, which lives as long as any worker.

The fork server's socket is in a temporary folder, which the parent removes when it ends.  If the
parent is killed, its workers remove the folder; if they are killed, too, the next process that
starts workers does.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing import connection, forkserver, util
from pathlib import Path
from threading import Thread
from typing import BinaryIO

from amc_gym._utils.files import lock, remove_if_dead

LOOK_EVERY = 0.5
"""Seconds between two checks of a worker's parent."""

LOCK = "amc-gym.lock"
"""File in a fork server's folder that its owner locks as long as it lives."""

BEFORE_FOLDERS = -99
"""Priority of the clean-up at exit; multiprocessing removes its folders at -100."""

# The process whose parent is watched, and the process that holds a lock: a fork inherits these
# variables, but neither the thread nor the folder.
_watching: int | None = None
_claimed: tuple[int, BinaryIO] | None = None


def end_with_parent(remove: Iterable[str] = (), *, daemons_only: bool = False) -> None:
    """Make this process end soon after its parent, if multiprocessing started it.

    A second call does nothing.

    Args:
        remove: files of the parent to remove then.
        daemons_only: whether to leave processes that are not daemons alone.  Python ends daemons,
            such as the workers of vector environments, with their parent; other processes may have
            work of their own to finish.
    """
    global _watching
    if multiprocessing.parent_process() is None or _watching == os.getpid():
        return
    if daemons_only and not multiprocessing.current_process().daemon:
        return
    _watching = os.getpid()
    left = [*remove, *_server_folder()]
    # The main thread may find its pipe closed and end the process before the watcher notices.
    util.Finalize(None, _orphaned, (left,), exitpriority=BEFORE_FOLDERS)
    Thread(target=_watch, args=(left,), daemon=True, name="amc-gym-parent").start()


def claim_server_folder() -> None:
    """Lock this process's fork server folder, and remove those of dead processes.

    Must be called before workers are started from a fork server.
    """
    global _claimed
    if _claimed is not None and _claimed[0] == os.getpid():
        return
    for left in Path(tempfile.gettempdir()).glob(f"pymp-*/{LOCK}"):
        remove_if_dead(left)
        if not left.exists():
            shutil.rmtree(left.parent, ignore_errors=True)
    file = (Path(util.get_temp_dir()) / LOCK).open("wb")
    with suppress(OSError):  # a system without locks, where it is never removed
        lock(file)
    _claimed = os.getpid(), file
    util.Finalize(None, file.close, exitpriority=BEFORE_FOLDERS)


def _server_folder() -> list[str]:
    """Return the folder of the fork server that started this process, if any."""
    server = getattr(forkserver, "_forkserver", None)
    # A fork server of this process itself has an id.
    if server is None or getattr(server, "_forkserver_pid", None) is not None:
        return []
    address = getattr(server, "_forkserver_address", None)
    folder = os.path.dirname(address) if isinstance(address, str) else ""
    return [folder] if os.path.basename(folder).startswith("pymp-") else []


def _watch(remove: list[str]) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    # A fork server's child has the server as its parent, which may be restarted; and later forks
    # keep the pipe of an earlier one open.
    own = os.getppid() == parent.pid
    while not connection.wait([parent.sentinel], LOOK_EVERY):
        if own and os.getppid() != parent.pid:
            break
    _remove(remove)
    os._exit(1)  # at once: nobody needs the main thread's work any more


def _orphaned(remove: list[str]) -> None:
    """Remove what the parent left behind, if it is dead."""
    parent = multiprocessing.parent_process()
    if parent is not None and connection.wait([parent.sentinel], 0):
        _remove(remove)


def _remove(paths: list[str]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            os.remove(path)
