"""One thread for a learner's small matrices, and all of the process's for the environment.

Products of about 64 x 300 x 300 are too small to be divided: threads would wait for each other
longer than they work, and on a busy machine many times longer.  The environment, however, evaluates
its networks on as many cores as PyTorch may use, and there is only one setting for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from amc_gym.compression.evaluation.parallel import torch_threads

_given: ContextVar[int] = ContextVar("_given")
"""Threads that PyTorch had before a learner took one.  Per thread, like PyTorch's own setting."""


@contextmanager
def learner_threads() -> Iterator[None]:
    """Let PyTorch use one thread within the block, and restore the number afterwards."""
    before = _given.set(_given.get(torch.get_num_threads()))
    try:
        with torch_threads(1):
            yield
    finally:
        _given.reset(before)


@contextmanager
def environment_threads() -> Iterator[None]:
    """Restore, within ``learner_threads``, the number of threads that PyTorch had outside."""
    now = torch.get_num_threads()
    given = _given.get(now)
    if given == now:  # setting it would cost some microseconds in every step
        yield
        return
    torch.set_num_threads(given)
    try:
        yield
    finally:
        torch.set_num_threads(now)
