"""Threads that each run torch on one core.

Small networks gain little from dividing an operation among threads, and lose much if threads
outnumber free cores, because they busy-wait for each other.  Whole batches with a core each scale
better, and a batch's results then depend on nothing else, in particular not on the number of cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from threading import Barrier
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


class Inline(Executor):
    """An executor that runs submitted calls immediately, in the calling thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call ``fn`` and return its finished future."""
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def executor() -> Executor:
    """Return an executor on as many cores as torch may use, ``torch.get_num_threads()``.

    With a single core the calling thread does the work itself.  In both cases torch uses one thread
    for each submitted call.
    """
    threads = torch.get_num_threads()
    return Inline() if threads == 1 else _pool(threads)


def abandon() -> None:
    """Cancel calls that have not begun, which the end of the process would otherwise wait for."""
    if _pool.cache_info().currsize:
        _pool(torch.get_num_threads()).shutdown(wait=False, cancel_futures=True)
        _pool.cache_clear()


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Make torch use this many threads for the calling thread within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _pool(threads: int) -> Executor:
    # The setting belongs to a thread, but a new thread starts with the value last set anywhere.
    # So all of these threads set theirs now, and then the calling thread restores its own.
    started = Barrier(threads + 1)

    def start() -> None:
        torch.get_num_threads()  # the first use in a thread adopts the value last set
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="amc-gym", initializer=start)
    for _ in range(threads):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(threads)
    return pool


if hasattr(os, "register_at_fork"):  # a forked process inherits the pool without its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
