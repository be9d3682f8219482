"""A network whose pass is launched as one CUDA graph, with one graph for each batch shape."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from amc_gym._utils.cuda_graph import Recorded
from amc_gym._utils.nests import Nest, called, device_of, leaves, mapped


class Captured(nn.Module):
    """A network that runs by CUDA graphs on a GPU, and normally elsewhere.

    Its weights may change between two passes, in place.

    Args:
        network: in eval mode; its outputs are nests of tensors whose shapes depend only on those
            of the inputs.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._passes: dict[tuple[Any, ...], tuple[Nest, Recorded]] = {}

    def forward(self, *inputs: Nest, **named: Nest) -> Nest:
        """Run the network; the outputs belong to the caller."""
        given: Nest = named or inputs
        device = device_of(given)
        if device.type != "cuda":
            return called(self.network, given)
        key = tuple((each.shape, each.dtype) for each in leaves(given))
        if key not in self._passes:
            self._passes[key] = self._recorded(given)
        mine, run = self._passes[key]
        for kept, new in zip(leaves(mine), leaves(given), strict=True):
            kept.copy_(new)
        return mapped(Tensor.clone, run())

    def _recorded(self, given: Nest) -> tuple[Nest, Recorded]:
        # Ordinary tensors may be written to in any mode.
        with torch.inference_mode(False), torch.no_grad():
            mine = mapped(Tensor.clone, given)
            return mine, Recorded(lambda: called(self.network, mine), device_of(given))
