"""Readers of pruned channels in networks that still have them."""

from __future__ import annotations

from torch import nn

from amc_gym.compression.graph import ChannelGraph


def check_readers(model: nn.Module, graph: ChannelGraph) -> None:
    """Refuse networks in which channels are read by anything but the weights of layers.

    In all others a pruned channel may stay where it is: zeros in the weights that read it do the
    same as its removal.

    Args:
        model: the network, in eval mode; its norms may have been folded.
        graph: its channel graph.

    Raises:
        ValueError: the message names what reads them.
    """
    for product in graph.products:
        if product.outputs.units or (product.inputs is not None and product.inputs.units):
            raise ValueError(f"{product.name!r} multiplies channels without a layer")
    for unit in graph.multiplied:
        raise ValueError(f"no layer sums over the channels of unit {graph.units[unit].name!r}")
    for norm in graph.norms:
        raise ValueError(f"norm {norm.module!r} takes its statistics over prunable channels")
