"""Identities: a slim network equals a masked one, closed-form costs equal counted ones."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import PlainStack, lively
from torch.utils.flop_counter import FlopCounterMode

from amc_gym.compression.cost import RESOURCES, counted_macs, counted_params
from amc_gym.compression.evaluation.folding import fold_norms
from amc_gym.compression.slim import mask, slim
from amc_gym.compression.tracing import trace
from amc_gym.engine.cache import engines

torch.manual_seed(0)
STACK = lively(PlainStack()).double()
EXAMPLE = torch.randn(4, 3, 8, 8, dtype=torch.float64)
GRAPH = trace(STACK, EXAMPLE[:1])


@st.composite
def kept_channels(draw):
    return tuple(
        np.array(sorted(draw(st.sets(st.integers(0, c - 1), min_size=1)))) for c in GRAPH.full
    )


@settings(max_examples=25, deadline=None)
@given(kept=kept_channels())
def test_slim_equals_masked_and_costs_what_the_closed_form_says(kept):
    small = slim(STACK, GRAPH, kept)
    torch.testing.assert_close(small(EXAMPLE), mask(STACK, GRAPH, kept)(EXAMPLE))
    counts = [len(channels) for channels in kept]
    assert RESOURCES["macs"].of_channels(GRAPH).total(counts) == counted_macs(small, EXAMPLE)
    assert RESOURCES["params"].of_channels(GRAPH).total(counts) == counted_params(small)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.2])
def test_mobilenet_costs_agree_with_thop_and_torchs_own_counter(digits_task, share):
    graph = engines.analysis(digits_task).graph
    kept = tuple(np.arange(max(1, int(share * c))) for c in graph.full)
    small = slim(digits_task.model, graph, kept)
    counts = [len(channels) for channels in kept]
    macs = RESOURCES["macs"].of_channels(graph).total(counts)
    with FlopCounterMode(display=False) as counter:
        small(digits_task.example)
    assert macs == counted_macs(small, digits_task.example) == counter.get_total_flops() / 2
    assert RESOURCES["params"].of_channels(graph).total(counts) == counted_params(small)


def test_mobilenet_slim_equals_masked(digits_task):
    graph = engines.analysis(digits_task).graph
    rng = np.random.default_rng(0)
    kept = tuple(np.sort(rng.permutation(c)[: max(1, c // 3)]) for c in graph.full)
    model = copy.deepcopy(digits_task.model).double()
    images = digits_task.reward.images[:8].double()
    torch.testing.assert_close(slim(model, graph, kept)(images), mask(model, graph, kept)(images))


def test_slimming_leaves_the_original_alone():
    before = {name: tensor.clone() for name, tensor in STACK.state_dict().items()}
    slim(STACK, GRAPH, tuple(np.arange(2) for _ in GRAPH.full))
    assert all(torch.equal(before[name], tensor) for name, tensor in STACK.state_dict().items())


def test_a_slim_network_describes_itself_truly():
    small = slim(STACK, GRAPH, tuple(np.arange(3) for _ in GRAPH.full))
    assert "Conv2d(3, 3, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), groups=3" in repr(small)
    assert "Linear(in_features=12, out_features=3, bias=False)" in repr(small)


def test_folding_batch_norm_changes_nothing_and_removes_every_norm():
    folded, graph = fold_norms(STACK, GRAPH)
    torch.testing.assert_close(folded(EXAMPLE), STACK(EXAMPLE))
    assert not any("norm" in name for name in graph.layers)
    assert not any("norm" in member for unit in graph.units for member in unit.members)


def test_a_norm_with_a_second_reader_of_its_input_is_not_folded():
    class TwoReaders(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 1)
            self.norm = torch.nn.BatchNorm2d(4)
            self.last = torch.nn.Conv2d(4, 2, 1)

        def forward(self, x):
            x = self.conv(x)
            return self.last(self.norm(x) + x)

    torch.manual_seed(0)
    model = lively(TwoReaders()).double()
    folded, graph = fold_norms(model, trace(model, EXAMPLE[:1]))
    torch.testing.assert_close(folded(EXAMPLE), model(EXAMPLE))
    assert "norm" in graph.layers
