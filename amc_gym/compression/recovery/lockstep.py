"""Batches that go through one network together, layer by layer.

Where a layer is changed by what many images bring to it, all of them have to be there at once, and
what they take of memory at the widest layer bounds their number.  Late layers of a network for
photographs are narrow, and have the most weights to fit.  So batches go through the network one at
a time and wait before a layer until all that take part there have come; a batch that joins late
finds the layers before as they are by then.

Each batch has a thread, of which one runs at a time: a forward pass can wait nowhere else than in
its own stack.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch

Arrive = Callable[[int, Any], None]
"""Told by a batch's forward pass (index of the stop, what it brings) before each stop."""

Run = Callable[[int, Arrive], None]
"""Runs the batch of an index; see ``lockstep``."""

Meet = Callable[[int, list[Any]], None]
"""Told (index of the stop, what each batch brings) when all that take part are there."""


def lockstep(run: Run, takers: Sequence[int], meet: Meet) -> None:
    """Run batches through a network in lockstep.

    Args:
        run: runs one batch, and lets ``arrive`` know at each stop in which it takes part, in order.
        takers: of how many batches, the first ones, take part at each stop, in ascending order.
        meet: what is to be done when they are there; they go on afterwards.

    Raises:
        Exception: whatever ``run`` or ``meet`` raises; no batch goes on then.
    """
    batches = max(takers, default=1)
    if batches == 1:
        run(0, lambda stop, brought: meet(stop, [brought]))
        return
    passes = [_Pass(run, index) for index in range(batches)]
    try:
        for stop, number in enumerate(takers):
            for each in passes[:number]:
                each.go_on()
            meet(stop, [each.brought for each in passes[:number]])
            for each in passes[:number]:
                each.brought = None
        for each in passes:
            each.go_on()
    finally:
        for each in passes:
            each.abandon()


class _Abandoned(BaseException):
    """Ends a forward pass that nobody waits for."""


class _Pass:
    """One batch on its way: its thread runs only while ``go_on`` waits for it."""

    def __init__(self, run: Run, index: int) -> None:
        self._run, self._index = run, index
        self._threads = torch.get_num_threads()
        self._turn, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._abandoned = False
        self.brought: Any = None

    def go_on(self) -> None:
        """Let it run up to its next stop, or to the end."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self._turn.release()
        self._done.acquire()
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """End it where it is."""
        if self._thread is not None and self._thread.is_alive():
            self._abandoned = True
            self._turn.release()
            self._thread.join()

    def _work(self) -> None:
        self._turn.acquire()
        torch.set_num_threads(self._threads)  # a new thread has a number of its own
        try:
            with suppress(_Abandoned):
                self._run(self._index, self._arrive)
        except BaseException as error:  # the caller's thread raises it
            self._error = error
        finally:
            self._done.release()

    def _arrive(self, _stop: int, brought: Any) -> None:
        self.brought = brought
        self._done.release()
        self._turn.acquire()
        if self._abandoned:
            raise _Abandoned
