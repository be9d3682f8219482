"""MACs and parameters counted on a running network, to check closed forms against."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from amc_gym._utils.dispatch import FlopCounter
from amc_gym._utils.nests import Nest, called, take


def counted_macs(model: nn.Module, example: Nest) -> int:
    """Count the MACs of a network on one image; this defines the number.

    MACs are half of what ``torch.utils.flop_counter`` reports for each executed operation:
    convolutions and matrix products of any kind, wherever they are called, including everything
    that is folded into the batch.  ``nn.MultiheadAttention`` is run step by step, because its fused
    form is not counted.

    Args:
        model: in eval mode.
        example: inputs (N, ...), of which the first is used.
    """
    counter = FlopCounter()
    with _without_gradients(model), counter, torch.no_grad(), attention_in_steps():
        called(model, take(example, slice(1)))
    return counter.get_total_flops() // 2


@contextmanager
def _without_gradients(model: nn.Module) -> Iterator[None]:
    """Turn gradients off within the block, because the counter asks views for their origin."""
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in wanted:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


def counted_params(model: nn.Module) -> int:
    """Count the learnable values of a network, wherever they are stored, each once."""
    return sum(parameter.numel() for parameter in model.parameters())


@contextmanager
def attention_in_steps() -> Iterator[None]:
    """Run ``nn.MultiheadAttention`` step by step within the block, so that it can be counted."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
