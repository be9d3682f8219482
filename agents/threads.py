"""One thread for a learner's small matrices, all of the process's for the environment.

Products of some 64 x 300 x 300 are too small to be shared out: threads wait for each other longer
than they work, and on a busy machine many times longer.  The environment, though, evaluates its
networks on as many cores as PyTorch may use, and there is one setting for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from amc_gym.compression.evaluation.parallel import torch_threads

_given: ContextVar[int] = ContextVar("_given")
"""Threads that PyTorch had before a learner took one.  Per thread, as PyTorch's own setting is."""


@contextmanager
def learner_threads() -> Iterator[None]:
    """PyTorch has one thread inside, and afterwards as many as before, come what may."""
    before = _given.set(_given.get(torch.get_num_threads()))
    try:
        with torch_threads(1):
            yield
    finally:
        _given.reset(before)


@contextmanager
def environment_threads() -> Iterator[None]:
    """Within ``learner_threads``: as many threads as PyTorch had outside of it."""
    now = torch.get_num_threads()
    given = _given.get(now)
    if given == now:  # nothing to set, which would cost some microseconds in every step
        yield
        return
    torch.set_num_threads(given)
    try:
        yield
    finally:
        torch.set_num_threads(now)
