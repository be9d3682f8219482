"""Tracing through activations, in place or not, even those PyTorch does not tag as pointwise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from amc_gym.compression.tracing import trace

ACTIVATIONS: dict[str, Any] = {
    **{each.__name__: each for each in (nn.GELU, nn.Sigmoid, nn.Softplus, nn.Tanh, nn.LogSigmoid)},
    **{
        f"{each.__name__}, {'in place' if inplace else 'copied'}": (
            lambda each=each, inplace=inplace: each(inplace=inplace)
        )
        for each in (
            *(nn.CELU, nn.ELU, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.Mish),
            *(nn.ReLU, nn.ReLU6, nn.RReLU, nn.SELU, nn.SiLU),
        )
        for inplace in (False, True)
    },
}


class InPlace(nn.Module):
    """Operations in place that PyTorch does not tag as pointwise, unlike their copies."""

    def forward(self, x):
        return x.abs_().clamp_(max=9).masked_fill_(torch.tensor(False), 0).true_divide_(2).add_(1)


ACTIVATIONS["methods"] = InPlace


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_channels_behind_it_can_be_pruned(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), ACTIVATIONS[name](), nn.Linear(8, 3)).eval()
    graph = trace(model, torch.randn(2, 5))
    assert [unit.channels for unit in graph.units] == [8]
