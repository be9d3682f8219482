"""CUDA graphs: work for a GPU that is recorded once and launched as a whole from then on.

Small kernels keep a GPU waiting: to launch one takes longer than to run it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

WARM_UP = 3
"""Passes before a recording, in which libraries choose algorithms and allocate what they keep."""


def warm_up(work: Callable[[], Any]) -> None:
    """Run the work some times on a stream of its own, as it has to be before it is recorded."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(beside)


class Recorded:
    """Work without arguments that is launched as one CUDA graph.

    Where a device other than a GPU computes, or the work waits for the GPU, which no graph can, it
    is simply done.

    Args:
        work: reads and writes tensors that stay where they are; called the first time at once.
        device: where they are.

    Attributes:
        result: of the work; the next call writes over it.
    """

    result: Any

    def __init__(self, work: Callable[[], Any], device: torch.device) -> None:
        self._work, self._graph = work, None
        if device.type == "cuda":
            try:
                self._graph, self.result = _record(work)
            except RuntimeError:
                self._graph = None
        self()

    def __call__(self) -> Any:
        """Do the work, and return its result."""
        if self._graph is None:
            self.result = self._work()
        else:
            self._graph.replay()
        return self.result


def _record(work: Callable[[], Any]) -> tuple[torch.cuda.CUDAGraph, Any]:
    warm_up(work)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()
    return graph, result
