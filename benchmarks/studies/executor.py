"""Jobs on this machine's cores, each in a fresh process; `ray_executor` has them on a cluster.

A fresh process has remembered no plan and no factor, so times are comparable; and whatever
happens to it, a crash inside a library or a kill for want of memory, the other jobs go on.
Where the system can, processes are forked from a server that has done nothing but import torch,
which takes seconds; a fork of this process, which has computed, would deadlock.

An executor is a function from jobs to a generator of events.  It writes nothing: whoever consumes
the events keeps the results.
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
from typing import Any, Protocol

from amc_gym._utils.orphans import claim_server_folder, end_with_parent

REPORT_EVERY = 0.1
"""Seconds between two messages about a job's progress; news are sent at once."""


FORK_SERVER = "benchmarks.studies.fork_server"
"""Imported by the fork server before what takes time."""


class Job(Protocol):
    """Work in a form that can be sent to another process."""

    @property
    def name(self) -> str:
        """Name of its process."""
        ...

    @property
    def steps(self) -> int:
        """Its size, in whatever its progress is counted in."""
        ...


Work = Callable[..., Any]
"""(job, told of the steps done so far and of news) -> result; a function of a module."""


@dataclass(frozen=True)
class Progressed:
    """A job has begun (0 steps) or has done so many; ``news`` is whatever it said meanwhile."""

    job: Any
    steps: int
    news: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Finished:
    """A job is done."""

    job: Any
    result: Any


@dataclass(frozen=True)
class Failed:
    """A job came to nothing; ``error`` is one line, ``details`` the traceback if there is one."""

    job: Any
    error: str
    details: str = ""


Event = Progressed | Finished | Failed
Executor = Callable[[Sequence[Any]], Generator[Event, None, None]]


@dataclass(frozen=True)
class LocalExecutor:
    """A pool of worker processes on this machine.

    Attributes:
        work: how to do a job.
        workers: how many jobs at a time.
        modules: imported by each worker first; they register agents of the user's own.
    """

    work: Work
    workers: int
    modules: tuple[str, ...] = ()

    def __call__(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """Carry out ``jobs`` and yield what happens; closing the generator ends the workers."""
        waiting = deque(jobs)
        active: dict[connection.Connection, tuple[Job, BaseProcess]] = {}
        try:
            while waiting or active:
                while waiting and len(active) < self.workers:
                    job = waiting.popleft()
                    receiver, process = self._start(job)
                    active[receiver] = job, process
                    yield Progressed(job, 0)
                for receiver in connection.wait(list(active)):
                    assert isinstance(receiver, connection.Connection)
                    job, process = active[receiver]
                    try:
                        event = receiver.recv()
                    except (EOFError, OSError):
                        process.join()
                        event = Failed(job, f"the worker died with exit code {process.exitcode}")
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

    def _start(self, job: Job) -> tuple[connection.Connection, BaseProcess]:
        if "forkserver" in get_all_start_methods():
            claim_server_folder()
            context = get_context("forkserver")
            context.set_forkserver_preload([FORK_SERVER, self.work.__module__])
        else:
            context = get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=_work,
            args=(self.work, job, self.modules, sender),
            name=job.name,
            daemon=True,
        )
        with _interrupts_ignored(), _one_thread():
            process.start()
        sender.close()  # so that the worker's death ends the pipe
        return receiver, process


def _work(work: Work, job: Job, modules: tuple[str, ...], sender: connection.Connection) -> None:
    """The body of a worker: carry out one job and send what happens; nobody listens, it ends."""
    end_with_parent()
    tell = Telling(lambda steps, news: sender.send(Progressed(job, steps, news)), REPORT_EVERY, 0)
    sender.send(attempt(work, job, modules, tell))


def attempt(
    work: Work,
    job: Job,
    modules: tuple[str, ...],
    tell: Telling,
    common: tuple[Any, ...] = (),
) -> Finished | Failed:
    """Carry out one job in this process, on one thread; what it raises is an event too.

    Args:
        work: how to do a job.
        job: what to do.
        modules: imported first.
        tell: told of the steps done so far and of news.
        common: more arguments of ``work``, the same for every job.
    """
    try:
        import torch

        from benchmarks.studies.execution import import_modules

        torch.set_num_threads(1)
        import_modules(modules)
        return Finished(job, work(job, tell, *common))
    except (Exception, SystemExit) as error:  # an agent that exits has failed
        tell.flush()
        summary = " ".join(f"{type(error).__name__}: {error}".split())
        return Failed(job, summary, traceback.format_exc())


class Telling:
    """Passes on a job's steps and news, now and then.

    Args:
        tell: (steps, news since it was last called).
        seconds: between two calls about steps; what is said of them in between is left out.
        news_seconds: between two calls about news; they are kept in between.
    """

    def __init__(
        self, tell: Callable[[int, tuple[Any, ...]], None], seconds: float, news_seconds: float
    ) -> None:
        self._tell, self._seconds, self._news_seconds = tell, seconds, news_seconds
        self._told, self._steps, self._news = time.monotonic(), 0, []

    def __call__(self, steps: int, news: Any = None) -> None:
        """Tell of steps and news, not too often."""
        self._steps = steps
        if news is not None:
            self._news.append(news)
        wait = self._news_seconds if self._news else self._seconds
        if time.monotonic() - self._told >= wait:
            self.flush()

    def flush(self) -> None:
        """Pass on what is held back."""
        self._told, news, self._news = time.monotonic(), tuple(self._news), []
        self._tell(self._steps, news)


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
