"""The fork server's first import, which ends the server if its owner dies before it forks.

Importing torch takes seconds, during which multiprocessing does not check whether the owner still
waits.  So this module imports nothing that takes time.
"""

from __future__ import annotations

import atexit
import os
from threading import Event, Thread

LOOK_EVERY = 0.5
"""Seconds between two checks."""


def watch() -> None:
    """End this process once it is an orphan; after its first fork it checks that itself."""
    server, parent, forking = os.getpid(), os.getppid(), Event()

    def look() -> None:
        while not forking.wait(LOOK_EVERY):
            if os.getppid() != parent:
                os._exit(1)

    def leave() -> None:
        if os.getpid() == server:  # not in a worker
            os._exit(0)  # a regular exit with torch takes a second or more

    watching = Thread(target=look, daemon=True, name="amc-gym-parent")

    def stop() -> None:
        forking.set()
        if watching.is_alive():  # the fork must have only one thread
            watching.join()

    watching.start()
    atexit.register(leave)
    os.register_at_fork(before=stop)


watch()
