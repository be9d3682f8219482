"""Jobs on this machine's cores, each in a fresh process; `ray_executor` runs them on a cluster.

A fresh process remembers no plans and factors, so that times are comparable; and whatever happens
to it, such as a crash in a library or a kill for lack of memory, the other jobs continue.  If the
system allows it, processes are forked from a server that has only imported torch, which takes
seconds; a fork of this process, which has computed, would deadlock.

An executor is a function from jobs to a generator of events.  It writes nothing: the consumer of
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
"""Seconds between two messages about a job's progress; news are sent immediately."""


FORK_SERVER = "benchmarks.studies.fork_server"
"""Module that the fork server imports before slow ones."""


class Job(Protocol):
    """A job that can be sent to another process."""

    @property
    def name(self) -> str:
        """Name of its process."""
        ...

    @property
    def steps(self) -> int:
        """Its size, in the unit of its progress."""
        ...


Work = Callable[..., Any]
"""Module-level function (job, callback for finished steps and news) -> result."""


@dataclass(frozen=True)
class Progressed:
    """Event: a job has begun (0 steps) or made progress; ``news`` is what it reported."""

    job: Any
    steps: int
    news: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Finished:
    """Event: a job is done."""

    job: Any
    result: Any


@dataclass(frozen=True)
class Failed:
    """Event: a job failed; ``error`` is one line, ``details`` the traceback if there is one."""

    job: Any
    error: str
    details: str = ""


Event = Progressed | Finished | Failed
Executor = Callable[[Sequence[Any]], Generator[Event, None, None]]


@dataclass(frozen=True)
class LocalExecutor:
    """A pool of worker processes on this machine.

    Attributes:
        work: function that does a job.
        workers: number of parallel jobs.
        modules: modules that each worker imports first, which register a user's own agents.
    """

    work: Work
    workers: int
    modules: tuple[str, ...] = ()

    def __call__(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """Execute ``jobs`` and yield events; closing the generator ends the workers."""
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
        sender.close()  # so that the pipe ends with the worker
        return receiver, process


def _work(work: Work, job: Job, modules: tuple[str, ...], sender: connection.Connection) -> None:
    """Run a worker: execute one job and send its events; end if nobody listens."""
    end_with_parent()
    report = Throttle(
        lambda steps, news: sender.send(Progressed(job, steps, news)), REPORT_EVERY, 0
    )
    sender.send(attempt(work, job, modules, report))


def attempt(
    work: Work,
    job: Job,
    modules: tuple[str, ...],
    report: Throttle,
    common: tuple[Any, ...] = (),
) -> Finished | Failed:
    """Execute one job in this process, on one thread; an exception becomes an event.

    Args:
        work: function that does a job.
        job: the job.
        modules: modules to import first.
        report: called with the number of finished steps, and with news.
        common: further arguments of ``work``, the same for every job.
    """
    try:
        import torch

        from benchmarks.studies.execution import import_modules

        torch.set_num_threads(1)
        import_modules(modules)
        return Finished(job, work(job, report, *common))
    except (Exception, SystemExit) as error:  # an agent that exits counts as failed
        report.flush()
        summary = " ".join(f"{type(error).__name__}: {error}".split())
        return Failed(job, summary, traceback.format_exc())


class Throttle:
    """A filter that passes a job's steps and news on at a limited rate.

    Args:
        report: called with (steps, news since the last call).
        seconds: between two calls about steps; those in between are dropped.
        news_seconds: between two calls about news; those in between are collected.
    """

    def __init__(
        self, report: Callable[[int, tuple[Any, ...]], None], seconds: float, news_seconds: float
    ) -> None:
        self._report, self._seconds, self._news_seconds = report, seconds, news_seconds
        self._reported_at, self._steps, self._news = time.monotonic(), 0, []

    def __call__(self, steps: int, news: Any = None) -> None:
        """Pass on steps and news, at a limited rate."""
        self._steps = steps
        if news is not None:
            self._news.append(news)
        wait = self._news_seconds if self._news else self._seconds
        if time.monotonic() - self._reported_at >= wait:
            self.flush()

    def flush(self) -> None:
        """Pass on everything that is held back."""
        self._reported_at, news, self._news = time.monotonic(), tuple(self._news), []
        self._report(self._steps, news)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Make processes started within the block ignore Ctrl-C; this process ends them."""
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
    """Make processes started within the block use one thread each, as they share the cores."""
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
