"""Gradient recording and ordinary tensors, independent of the caller's mode.

Callers may be in ``torch.no_grad()`` or ``torch.inference_mode()``.  Training then fails, and
tensors made in inference mode can never be trained, even outside of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def recording() -> Iterator[None]:
    """Record gradients within the block, as at the start of a program."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def recorded(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function run in ``recording``; for training, and for tensors that are kept."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with recording():
            return function(*args, **kwargs)

    return run


def ordinary(tensor: Tensor) -> Tensor:
    """Return the tensor, or a trainable copy if it was made in inference mode."""
    if not tensor.is_inference():
        return tensor
    with recording():
        return tensor.clone()
