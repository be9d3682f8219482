"""Threads that each run torch on one core.

Small networks gain little when an operation is cut into pieces, and lose much where threads
outnumber free cores: they wait for each other busily.  Whole batches on a core each scale better,
and what a batch computes depends on nothing else, least of all on the number of cores.
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
    """Runs what is submitted at once, in the calling thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call ``fn``; the future is done already."""
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def executor() -> Executor:
    """Return what runs work on as many cores as torch may use: ``torch.get_num_threads()``.

    Where that is one core, the calling thread does the work itself.  Either way torch has one
    thread for each piece of work.
    """
    threads = torch.get_num_threads()
    return Inline() if threads == 1 else _pool(threads)


def abandon() -> None:
    """Leave undone what has not begun: otherwise the process ends after it only."""
    if _pool.cache_info().currsize:
        _pool(torch.get_num_threads()).shutdown(wait=False, cancel_futures=True)
        _pool.cache_clear()


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Torch uses so many threads for what the calling thread does meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _pool(threads: int) -> Executor:
    # The setting belongs to a thread, but a new thread starts with what was last set anywhere:
    # all of these set theirs now, and then the calling thread puts its own back.
    started = Barrier(threads + 1)

    def start() -> None:
        torch.get_num_threads()  # the first use in a thread adopts what was last set
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="amc-gym", initializer=start)
    for _ in range(threads):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(threads)
    return pool


if hasattr(os, "register_at_fork"):  # a forked process has the pool, but none of its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
