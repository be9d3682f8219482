"""Batches that go through a network together, layer by layer.

Where a layer is changed based on many images, all of them have to be there at once, and their
memory at the widest layer limits their number.  Late layers of a network for photographs are
narrow, and have the most weights to fit.  So batches go through the network one at a time and wait
before a layer until all batches that take part there have arrived; a batch that joins late finds
the earlier layers already changed.

Each batch has a thread, and only one thread runs at a time: a forward pass can only wait inside its
own stack.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch

Arrive = Callable[[int, Any], None]
"""Callback of a batch's forward pass before each stop: (index of the stop, data)."""

Run = Callable[[int, Arrive], None]
"""Function that runs the batch with an index; see ``lockstep``."""

Meet = Callable[[int, list[Any]], None]
"""Callback when all batches are at a stop: (index of the stop, data of each batch)."""


def lockstep(run: Run, takers: Sequence[int], meet: Meet) -> None:
    """Run batches through a network in lockstep.

    Args:
        run: runs one batch, and calls ``arrive`` at each stop in which it takes part, in order.
        takers: number of batches, the first ones, that take part at each stop, ascending.
        meet: called when they are all there; they continue afterwards.

    Raises:
        Exception: whatever ``run`` or ``meet`` raises; no batch continues then.
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
    """Raised to end a forward pass that is no longer needed."""


class _Pass:
    """The pass of one batch, whose thread runs only while ``go_on`` waits for it."""

    def __init__(self, run: Run, index: int) -> None:
        self._run, self._index = run, index
        self._threads = torch.get_num_threads()
        self._turn, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._abandoned = False
        self.brought: Any = None

    def go_on(self) -> None:
        """Let the batch run up to its next stop, or to the end."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self._turn.release()
        self._done.acquire()
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """End the pass where it is."""
        if self._thread is not None and self._thread.is_alive():
            self._abandoned = True
            self._turn.release()
            self._thread.join()

    def _work(self) -> None:
        self._turn.acquire()
        torch.set_num_threads(self._threads)  # a new thread has its own setting
        try:
            with suppress(_Abandoned):
                self._run(self._index, self._arrive)
        except BaseException as error:  # raised again in the caller's thread
            self._error = error
        finally:
            self._done.release()

    def _arrive(self, _stop: int, brought: Any) -> None:
        self.brought = brought
        self._done.release()
        self._turn.acquire()
        if self._abandoned:
            raise _Abandoned
