"""Verification: the units that make a slim network differ are found in few runs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from amc_gym.compression.tracing.verification import culprits, trace


@pytest.mark.parametrize("wrong", [set(), {0}, {31}, {3, 4, 20}, set(range(32))])
def test_units_that_differ_alone_are_found(wrong):
    runs = []

    def problem(units):
        runs.append(list(units))
        return "differs" if wrong & {*units} else ""

    assert culprits(range(32), problem) == dict.fromkeys(sorted(wrong), "differs")
    assert len(runs) <= min(1 + 2 * 5 * len(wrong), 63)


def test_of_units_that_differ_only_together_some_stay_whole():
    found = culprits(range(8), lambda units: "tied" if {1, 6} <= {*units} else "")
    assert 6 in found
    assert 1 not in found


class ByWidth(nn.Module):
    """Divides by the number of channels, which the tracer cannot see."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / x.shape[1]


@pytest.mark.parametrize("width", range(2, 7))
@pytest.mark.parametrize("before", range(5))
def test_units_of_few_channels_are_verified_too(width: int, before: int):
    """Rounded up, the share that verification keeps could be all of them."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 3), nn.ReLU()]
    for _ in range(before):
        layers += [nn.Conv2d(8, 8, 1), nn.ReLU()]
    tail = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)]
    network = nn.Sequential(
        *layers, nn.Conv2d(8, width, 1), ByWidth(), nn.Conv2d(width, 8, 1), *tail
    )
    graph = trace(network.eval(), torch.randn(2, 3, 12, 12))
    assert width not in {unit.channels for unit in graph.units}
    assert "computes something else" in graph.fixed[str(len(layers))]
