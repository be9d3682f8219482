"""CUDA graphs: GPU work that is recorded once and then launched as a whole.

Small kernels leave a GPU idle, because launching one takes longer than running it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

WARM_UP = 3
"""Passes before a recording, in which libraries choose algorithms and allocate memory."""


def warm_up(work: Callable[[], Any]) -> None:
    """Run the work several times on its own stream, as is required before recording."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(beside)


class Recorded:
    """Work without arguments that is launched as one CUDA graph.

    On other devices, and if the work waits for the GPU, which a graph cannot record, it is simply
    run.

    Args:
        work: reads and writes tensors that stay in place; called once at creation.
        device: device of the tensors.

    Attributes:
        result: of the work; the next call overwrites it.
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
        """Run the work and return its result."""
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
