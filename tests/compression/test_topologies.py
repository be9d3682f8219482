"""Identities on common topologies: residual, grouped, gated and concatenating networks."""

from __future__ import annotations

import numpy as np
import peers
import pytest
import torch
import torchvision
from small import lively
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from amc_gym.compression.cost import RESOURCES, counted_macs, counted_params
from amc_gym.compression.evaluation.folding import fold_norms
from amc_gym.compression.pruning.candidates import SwappedNetwork
from amc_gym.compression.pruning.pruner import Pruner
from amc_gym.compression.pruning.resident import ResidentNetwork
from amc_gym.compression.ranking.order import rank
from amc_gym.compression.recovery.reconstruction import refit
from amc_gym.compression.recovery.statistics import grams
from amc_gym.compression.slim import slim
from amc_gym.compression.tracing import trace, verify


class SkipAroundConcat(nn.Module):
    """A stream that enters a concatenation and is also added to its result."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.left = nn.Conv2d(12, 8, 1)
        self.right = nn.Conv2d(12, 6, 3, padding=1)
        self.join = nn.Conv2d(8 + 6 + 12, 12, 1, bias=False)
        self.norm = nn.BatchNorm2d(12)
        self.last = nn.Linear(12 * 4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        joined = torch.cat([torch.relu(self.left(x)), torch.relu(self.right(x)), x], dim=1)
        x = torch.relu(self.norm(self.join(joined)) + x)
        return self.last(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1))


class FixedGroups(nn.Module):
    """Grouped convolutions whose inputs cannot be pruned: each group has only one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.fixed = nn.Conv2d(8, 16, 3, padding=1, groups=8)  # outputs cannot be pruned either
        self.multiplied = nn.Conv2d(16, 32, 3, padding=1, groups=16)  # outputs can
        self.mixed = nn.Conv2d(32, 12, 1)
        self.last = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.stem, self.fixed, self.multiplied, self.mixed):
            x = torch.relu(layer(x))
        return self.last(x.mean((2, 3)))


class Inception(nn.Module):
    """Two inception blocks: branches of several kernels, and pooling, concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([self.block(3), self.block(22)])
        self.last = nn.Linear(22, 5)

    @staticmethod
    def block(inputs: int) -> nn.ModuleList:
        def convs(*shapes: tuple[int, int, int]) -> nn.Sequential:
            layers = []
            for i, o, k in shapes:
                layers += [nn.Conv2d(i, o, k, padding=k // 2, bias=False), nn.BatchNorm2d(o)]
                layers += [nn.ReLU(inplace=True)]
            return nn.Sequential(*layers)

        return nn.ModuleList(
            [
                convs((inputs, 6, 1)),
                convs((inputs, 4, 1), (4, 8, 5)),
                convs((inputs, 4, 1), (4, 4, 3), (4, 4, 3)),
                nn.Sequential(nn.AvgPool2d(3, 1, 1), convs((inputs, 4, 1))),
            ]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            assert isinstance(block, nn.ModuleList)
            x = torch.cat([branch(x) for branch in block], dim=1)
        return self.last(x.mean((2, 3)))


def of_torchvision(name: str) -> nn.Module:
    return torchvision.models.get_model(name, weights=None)


TOPOLOGIES = {
    "skip around a concat": (SkipAroundConcat, 8),
    "inception": (Inception, 8),
    "fixed groups": (FixedGroups, 8),
    "resnet": (peers.resnet, 32),
    "resnext": (peers.resnext, 32),
    "mobilenet_v3_small": (lambda: of_torchvision("mobilenet_v3_small"), 32),
    "squeezenet1_1": (lambda: of_torchvision("squeezenet1_1"), 64),
    "densenet": (peers.densenet, 32),
}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_identities(name):
    build, size = TOPOLOGIES[name]
    torch.manual_seed(0)
    model = lively(build())
    images = torch.randn(24, 3, size, size)
    graph = trace(model, images[:1])
    verify(model, graph, images[:2])  # slim == masked

    # Nested fits and swapped tensors == plain fits in a network that is built.
    statistics = grams(model, graph, images.split(8), n_images=len(images))
    assert statistics, "no layer is small enough to be re-fitted: the test would show nothing"
    folded, folded_graph = fold_norms(model, graph)
    orders = rank(model, graph, statistics, "magnitude")
    pruner = Pruner(folded, folded_graph, orders, statistics)
    as_they_are = Pruner(folded, folded_graph, orders, {})
    for errors in (pruner.errors(), as_they_are.errors(statistics), as_they_are.errors()):
        for unit, error in zip(graph.units, errors, strict=True):
            assert error.shape == (unit.channels + 1,)
            assert error[0] == pytest.approx(len(unit.consumers))
            assert error[-1] == pytest.approx(0, abs=1e-9)
            assert (np.diff(error) <= 1e-12).all()
    fast = SwappedNetwork(folded, pruner, device=torch.device("cpu"), dtype=torch.float32)
    rng = np.random.default_rng(0)
    counts = [unit.blocks * int(rng.integers(1, c // unit.blocks + 1)) for unit, c in units(graph)]
    kept = pruner.kept(counts)
    built = slim(model, graph, kept, refit(model, graph, statistics, kept))
    with torch.inference_mode():
        expected = built(images[:4])
        actual = fast(counts)(images[:4])
    close = {"rtol": 2e-3, "atol": 2e-3 * float(expected.abs().max())}
    torch.testing.assert_close(actual, expected, **close)

    # Zeros in a full-width network == fewer channels, also after another plan was written there.
    resident = ResidentNetwork(folded, pruner, device=torch.device("cpu"), dtype=torch.float32)
    resident(graph.full)
    with torch.inference_mode():
        torch.testing.assert_close(resident(counts)(images[:4]), expected, **close)

    # Closed-form == counted.
    macs = RESOURCES["macs"].of_channels(graph).total(counts)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        built(images[:1])
    assert macs == counted_macs(built, images) == counter.get_total_flops() / 2
    assert RESOURCES["params"].of_channels(graph).total(counts) == counted_params(built)


def units(graph):
    return zip(graph.units, graph.full, strict=True)


def test_a_residual_stream_is_one_unit():
    graph = trace(SkipAroundConcat().eval(), torch.zeros(1, 3, 8, 8))
    stream = graph.units[0]
    assert stream.consumers == ("left", "right", "join", "last")
    assert stream.members == ("stem", "left", "right", "join", "norm", "last")
    names = ["left", "join:left", "join:right"]
    assert [unit.name for unit in graph.units] == names
    join = graph.layers["join"].inputs
    assert join is not None
    assert [join.unit[run.start] for run in join.segments] == [1, 2, 0]


def test_a_gate_is_pruned_with_what_it_gates():
    graph = trace(of_torchvision("mobilenet_v3_large").eval(), torch.zeros(1, 3, 32, 32))
    gated = next(unit for unit in graph.units if any("fc1" in name for name in unit.consumers))
    assert any("fc2" in name for name in gated.members)
