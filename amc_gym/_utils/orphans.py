"""Worker processes that end when their parent does, however it ends, and clear up after it.

A process that is killed cannot tell its workers.  Each of them waits for the end of a pipe whose
other end the parent holds, and now and then looks whose child it is.  The kernel's own notice
(Linux' PR_SET_PDEATHSIG) does not do: it comes when the *thread* ends that started the worker, and
of workers from a fork server it watches the server, which lives as long as any worker.

The fork server's socket lies in a temporary folder, which the parent removes when it ends.  If it
is killed, its workers do; if they are killed with it, the next process that starts workers.
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
"""Seconds between two looks at whose child a worker is."""

LOCK = "amc-gym.lock"
"""File in a fork server's folder, locked as long as the process lives whose folder it is."""

BEFORE_FOLDERS = -99
"""Priority of what is done as a process ends; multiprocessing removes its folders at -100."""

# The process whose parent is watched, and the process that holds a lock: a fork inherits these
# variables, but neither the thread nor the folder.
_watching: int | None = None
_claimed: tuple[int, BinaryIO] | None = None


def end_with_parent(remove: Iterable[str] = (), *, daemons_only: bool = False) -> None:
    """End this process soon after its parent, if multiprocessing has started it.

    A second call does nothing.

    Args:
        remove: files of the parent's to remove then.
        daemons_only: leave other processes than daemons alone.  Python ends daemons with their
            parent; workers of vector environments are some.  Another process may have work of its
            user's own to finish.
    """
    global _watching
    if multiprocessing.parent_process() is None or _watching == os.getpid():
        return
    if daemons_only and not multiprocessing.current_process().daemon:
        return
    _watching = os.getpid()
    left = [*remove, *_server_folder()]
    # The main thread may find its pipe closed, and end the process, before the watch has looked.
    util.Finalize(None, _orphaned, (left,), exitpriority=BEFORE_FOLDERS)
    Thread(target=_watch, args=(left,), daemon=True, name="amc-gym-parent").start()


def claim_server_folder() -> None:
    """Lock this process's folder of the fork server, and remove those of dead processes.

    To be called before workers are started from a fork server.
    """
    global _claimed
    if _claimed is not None and _claimed[0] == os.getpid():
        return
    for left in Path(tempfile.gettempdir()).glob(f"pymp-*/{LOCK}"):
        remove_if_dead(left)
        if not left.exists():
            shutil.rmtree(left.parent, ignore_errors=True)
    file = (Path(util.get_temp_dir()) / LOCK).open("wb")
    with suppress(OSError):  # a system without locks: then nobody removes it
        lock(file)
    _claimed = os.getpid(), file
    util.Finalize(None, file.close, exitpriority=BEFORE_FOLDERS)


def _server_folder() -> list[str]:
    """Return the folder of the fork server that has started this process, if one has."""
    server = getattr(forkserver, "_forkserver", None)
    # A server of this process's own has an id.
    if server is None or getattr(server, "_forkserver_pid", None) is not None:
        return []
    address = getattr(server, "_forkserver_address", None)
    folder = os.path.dirname(address) if isinstance(address, str) else ""
    return [folder] if os.path.basename(folder).startswith("pymp-") else []


def _watch(remove: list[str]) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    # A fork server's child has the server for a parent, which may be started anew; and later forks
    # hold the pipe of an earlier one open.
    own = os.getppid() == parent.pid
    while not connection.wait([parent.sentinel], LOOK_EVERY):
        if own and os.getppid() != parent.pid:
            break
    _remove(remove)
    os._exit(1)  # at once: what the main thread does is for nobody any more


def _orphaned(remove: list[str]) -> None:
    """Remove what the parent has left, if it is dead."""
    parent = multiprocessing.parent_process()
    if parent is not None and connection.wait([parent.sentinel], 0):
        _remove(remove)


def _remove(paths: list[str]) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            os.remove(path)
