"""Comparison of the slim network with the trace: the first operation with an unexpected shape."""

from __future__ import annotations

import traceback
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from amc_gym._utils.dispatch import EagerDispatchMode
from amc_gym._utils.nests import Nest, called, take
from amc_gym.compression.cost import attention_in_steps
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.slim import Kept
from amc_gym.compression.tracing.assembly import axes_of
from amc_gym.compression.tracing.in_float64 import InFloat64
from amc_gym.compression.tracing.labels import ANY, Dimension
from amc_gym.compression.tracing.record import Operation, Trace
from amc_gym.compression.tracing.tracer import name_of, users_line

WINDOW = 12
"""Number of operations among which the next one is searched.

The order may differ, because the memory layout decides whether a reshape copies and which product a
linear layer runs.
"""


class _Comparison(EagerDispatchMode):
    """A mode that compares each operation's first output with the trace.

    Args:
        expected: operations with the shapes that their outputs should have; ``None`` for a
            dimension along which values are repeated, as often as it may be.
    """

    def __init__(self, expected: list[tuple[Operation, tuple[int | None, ...]]]) -> None:
        super().__init__()
        self._expected = expected
        self._at = 0
        self.culprit: Operation | None = None

    def failed(self, error: Exception) -> None:
        """Take the next operation of the line that failed as the cause."""
        if self.culprit is not None:
            return
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        line = users_line(frames[-1]) if frames else ""
        following = [operation for operation, _ in self._expected[self._at : self._at + WINDOW]]
        turn = [operation for operation in following if operation.line == line]
        if turn:
            # A reshape that has to copy checks the sizes first.
            copies = [operation.name for operation in turn[:2]] == ["clone", "_unsafe_view"]
            self.culprit = turn[copies]

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        place = None if self.culprit is not None else self._place(name_of(func))
        if place is None:
            return func(*args, **(kwargs or {}))
        operation, shape = self._expected[place]
        self._at = place + 1
        try:
            out = func(*args, **(kwargs or {}))
        except Exception:
            self.culprit = operation
            raise
        tensors = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if tensors and not _fits(tuple(tensors[0].shape), shape):
            self.culprit = operation
        return out

    def _place(self, name: str) -> int | None:
        """Return an operation's place among the expected ones; ``None`` if it is not among them."""
        following = self._expected[self._at : self._at + WINDOW]
        if following and following[0][0].name == name:
            return self._at
        line = users_line()
        for ahead, (operation, _) in enumerate(following):
            if (operation.name, operation.line) == (name, line):
                return self._at + ahead
        return None


def _fits(found: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    same = (each in (None, size) for size, each in zip(found, expected, strict=False))
    return len(found) == len(expected) and all(same)


def first_difference(
    graph: ChannelGraph, found: Trace, small: nn.Module, example: Nest, kept: Kept
) -> Operation | None:
    """Return the first operation of a slim network whose output differs from the trace.

    Args:
        graph: of the original network.
        found: the trace that the graph was made from.
        small: the slim network.
        example: inputs, of which the first sample is run.
        kept: kept channels of each unit.
    """
    axes: Any = axes_of(graph, found)

    def size_of(size: int, labels: Dimension) -> int | None:
        if labels is None:
            return size
        return None if (labels == ANY).any() else len(axes(labels).kept(kept))

    expected = []
    for operation in found.operations:
        shape = tuple(map(size_of, operation.shape, operation.labels))
        expected.append((operation, shape))
    comparison, image = _Comparison(expected), take(example, slice(1))
    try:
        with torch.no_grad(), attention_in_steps(), comparison, InFloat64():
            called(small, image)
    except Exception as error:
        comparison.failed(error)
    return comparison.culprit
