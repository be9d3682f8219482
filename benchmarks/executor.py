"""Runs on this machine's cores, each in a fresh process.

A fresh process has remembered no plan and no factor, so times are comparable; and whatever
happens to it, a crash inside a library or a kill for want of memory, the other runs go on.
Where the system can, processes are forked from a server that has done nothing but import torch,
which takes seconds; a fork of this process, which has computed, would deadlock.

An executor is a function from runs to a generator of events.  It writes nothing: whoever consumes
the events keeps the records.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, get_all_start_methods, get_context
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from benchmarks.runs import Run

if TYPE_CHECKING:
    from benchmarks.records import Record

REPORT_EVERY = 0.1
"""Seconds between two messages about a run's progress."""


@dataclass(frozen=True)
class Progressed:
    """A run has begun (0 episodes) or has finished so many."""

    run: Run
    episodes: int


@dataclass(frozen=True)
class Finished:
    """A run is done."""

    run: Run
    record: Record


@dataclass(frozen=True)
class Failed:
    """A run came to nothing; ``error`` is one line, ``details`` the traceback if there is one."""

    run: Run
    error: str
    details: str = ""


Event = Progressed | Finished | Failed
Executor = Callable[[Sequence[Run]], Generator[Event, None, None]]


@dataclass(frozen=True)
class LocalExecutor:
    """A pool of worker processes on this machine.

    Attributes:
        workers: how many runs at a time.
        modules: imported by each worker first; they register agents of the user's own.
    """

    workers: int
    modules: tuple[str, ...] = ()

    def __call__(self, runs: Sequence[Run]) -> Generator[Event, None, None]:
        """Carry out ``runs`` and yield what happens; closing the generator ends the workers."""
        waiting = deque(runs)
        active: dict[connection.Connection, tuple[Run, BaseProcess]] = {}
        try:
            while waiting or active:
                while waiting and len(active) < self.workers:
                    run = waiting.popleft()
                    receiver, process = self._start(run)
                    active[receiver] = run, process
                    yield Progressed(run, 0)
                for receiver in connection.wait(list(active)):
                    assert isinstance(receiver, connection.Connection)
                    run, process = active[receiver]
                    try:
                        event = receiver.recv()
                    except (EOFError, OSError):
                        process.join()
                        event = Failed(run, f"the worker died with exit code {process.exitcode}")
                    if not isinstance(event, Progressed):
                        del active[receiver]
                        receiver.close()
                        process.join()
                    yield event
        finally:
            for _, process in active.values():
                process.terminate()
            for receiver, (_, process) in active.items():
                process.join()
                receiver.close()

    def _start(self, run: Run) -> tuple[connection.Connection, BaseProcess]:
        if "forkserver" in get_all_start_methods():
            context = get_context("forkserver")
            context.set_forkserver_preload(["benchmarks.execution"])
        else:
            context = get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=_work, args=(run, self.modules, sender), name=run.name, daemon=True
        )
        with _interrupts_ignored(), _one_thread():
            process.start()
        sender.close()  # so that the worker's death ends the pipe
        return receiver, process


def _work(run: Run, modules: tuple[str, ...], sender: connection.Connection) -> None:
    """The body of a worker: carry out one run and send what happens."""
    try:
        import torch

        from benchmarks.execution import execute, import_modules

        torch.set_num_threads(1)
        import_modules(modules)
        episodes, reported = 0, time.monotonic()

        def on_episode(_: object) -> None:
            nonlocal episodes, reported
            episodes += 1
            if time.monotonic() - reported > REPORT_EVERY:
                reported = time.monotonic()
                sender.send(Progressed(run, episodes))

        event = Finished(run, execute(run, on_episode))
    except Exception as error:
        summary = " ".join(f"{type(error).__name__}: {error}".split())
        event = Failed(run, summary, traceback.format_exc())
    sender.send(event)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C; it is this process that ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started inside compute on one thread each; several would fight for the cores."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ |= dict.fromkeys(names, "1")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
