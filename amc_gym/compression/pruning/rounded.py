"""Slim networks whose widths are rounded up, so that a search meets few shapes.

For each shape that it has not met, oneDNN compiles a kernel (0.2 to 0.4 ms for a depthwise
convolution), which for small networks is a third of an evaluation.  The channels that a width has
above a plan's count are read by zeros, so that the network computes what the slim one computes, up
to rounding.  Only units with depthwise convolutions are rounded, where channels cost little:
kernels work on vectors of 8 or 16, and 1 x 1 convolutions are matrix products.  Dense 3 x 3
convolutions keep their widths: Plain-20's took 1.3 times as long in rounded ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.pruning.pruner import Pruner
from amc_gym.compression.pruning.readers import check_readers

MULTIPLE = 8
"""Rounded widths are multiples of so many channels, or those of the original network."""


class RoundedPruner:
    """The tensors of a pruner, in widths that are rounded up.

    Args:
        model: the network of ``pruner``.
        pruner: gives the tensors.

    Raises:
        ValueError: channels that are read by zeros cannot stand for pruned ones in this network;
            the message says why.
    """

    def __init__(self, model: nn.Module, pruner: Pruner) -> None:
        check_readers(model, pruner.graph)
        if not pruner.is_sorted:
            raise ValueError("some tensors are selected by index")
        layers, units = pruner.graph.layers.values(), pruner.graph.units
        rounded = set().union(*(each.outputs.units for each in layers if each.kind == "depthwise"))
        if not rounded:
            raise ValueError("no unit has a depthwise convolution")
        # Made once: they are asked for with every layer of every plan.
        self._widths = [
            _widths(unit.channels) if u in rounded else range(unit.channels + 1)
            for u, unit in enumerate(units)
        ]
        self._pruner = pruner

    @property
    def graph(self) -> ChannelGraph:
        """Channel graph of the network that the tensors belong to."""
        return self._pruner.graph

    def tensors(self, counts: Sequence[int], name: str) -> dict[str, torch.Tensor]:
        """Return weight, bias and running statistics of one layer; not to be written to."""
        return self._pruner.tensors(counts, name, self.widths(counts))

    def widths(self, counts: Sequence[int]) -> list[int]:
        """Return channels that each unit has where the plan keeps ``counts``."""
        return [widths[count] for widths, count in zip(self._widths, counts, strict=True)]


def _widths(channels: int) -> list[int]:
    """Return the rounded width of each count of a unit, (channels + 1,)."""
    return [min(channels, -(-count // MULTIPLE) * MULTIPLE) for count in range(channels + 1)]


def in_rounded_widths(model: nn.Module, pruner: Pruner) -> RoundedPruner | None:
    """Return a pruner's tensors in rounded widths; ``None`` where they cannot stand for slim ones.

    Args:
        model: the network of ``pruner``.
        pruner: gives the tensors.
    """
    try:
        return RoundedPruner(model, pruner)
    except ValueError:
        return None
