"""Pinning of threads to the quietest cores of a machine during a measurement."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from amc_gym._utils.machine import cores
from amc_gym.compression.evaluation.parallel import torch_threads

PROBE_NS = 50_000_000
"""Nanoseconds of work that tell quiet cores from busy ones: several turns of the scheduler."""


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Pin this many threads to the quietest cores within the block, if the system allows it.

    Raises:
        ValueError: ``threads`` is below 1 or above the number of cores.
    """
    available = cores()
    if not 1 <= threads <= available:
        raise ValueError(f"threads must be from 1 to the {available} cores here, not {threads}")
    before = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()
    with torch_threads(threads):
        try:
            if before:
                # All threads of a process share its cores, but an existing pool keeps its own.
                os.sched_setaffinity(0, sorted(before, key=_busy)[:threads])
            yield
        finally:
            if before:
                os.sched_setaffinity(0, before)


def _busy(core: int) -> int:
    """Return how long a core takes to give this thread ``PROBE_NS`` of work."""
    os.sched_setaffinity(0, [core])
    began, worked = time.perf_counter_ns(), time.thread_time_ns()
    while time.thread_time_ns() - worked < PROBE_NS:
        pass
    return time.perf_counter_ns() - began
