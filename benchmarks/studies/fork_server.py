"""The fork server's first import: until it forks, it ends soon after the process that it is for.

Importing torch takes it seconds, in which multiprocessing does not look whether anybody still
waits.  So this module imports nothing that takes time.
"""

from __future__ import annotations

import atexit
import os
from threading import Event, Thread

LOOK_EVERY = 0.5
"""Seconds between two looks."""


def watch() -> None:
    """End this process once it is an orphan; from its first fork on it looks itself."""
    server, parent, forking = os.getpid(), os.getppid(), Event()

    def look() -> None:
        while not forking.wait(LOOK_EVERY):
            if os.getppid() != parent:
                os._exit(1)

    def leave() -> None:
        if os.getpid() == server:  # not in a worker
            os._exit(0)  # to take torch apart takes a second, and more on a busy machine

    watching = Thread(target=look, daemon=True, name="amc-gym-parent")

    def stop() -> None:
        forking.set()
        if watching.is_alive():  # the fork is to have one thread only
            watching.join()

    watching.start()
    atexit.register(leave)
    os.register_at_fork(before=stop)


watch()
