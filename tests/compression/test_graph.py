"""The traced graph: units, their order and their members."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.graph import FIXED, Axis, GraphError
from amc_gym.compression.tracing import trace, verify
from amc_gym.engine.cache import engines


def test_mobilenet_has_the_papers_fourteen_units(digits_task):
    graph = engines.analysis(digits_task).graph
    assert len(graph.units) == 14
    assert [unit.name for unit in graph.units] == [
        *(f"blocks.{i}.pointwise.conv" for i in range(13)),
        "classifier",
    ]
    assert graph.full == (16, 32, 64, 64, 128, 128, 256, 256, 256, 256, 256, 256, 512, 512)
    assert graph.fixed == {"classifier": "the network's output"}


def test_a_unit_is_named_by_its_first_consumer_and_holds_its_norms_and_depthwise(plain_stack):
    graph = trace(plain_stack, torch.zeros(1, 3, 8, 8))
    assert [(u.name, u.channels, u.members) for u in graph.units] == [
        ("second", 12, ("first", "norm", "depthwise", "depthwise_norm", "second")),
        ("third", 10, ("second", "third")),
        ("hidden", 8, ("third", "hidden")),
        ("classifier", 20, ("hidden", "hidden_norm", "classifier")),
    ]


def test_input_and_output_are_never_pruned(plain_stack):
    graph = trace(plain_stack, torch.zeros(1, 3, 8, 8))
    first, last = graph.layers["first"], graph.layers["classifier"]
    assert first.inputs is not None
    assert (first.inputs.unit == FIXED).all()
    assert (last.outputs.unit == FIXED).all()


def test_a_flattened_map_repeats_each_channel_for_its_pixels(plain_stack):
    axis = trace(plain_stack, torch.zeros(1, 3, 8, 8)).layers["hidden"].inputs
    assert axis is not None
    assert axis.channel.tolist() == np.repeat(np.arange(8), 4).tolist()
    kept = (np.arange(1), np.arange(1), np.array([1, 5]), np.arange(1))
    assert axis.kept(kept).tolist() == [4, 5, 6, 7, 20, 21, 22, 23]


def test_nothing_to_prune_is_an_error_with_its_reason():
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    with pytest.raises(GraphError, match=r"no channels that can be pruned.*output"):
        trace(model, torch.zeros(1, 3, 4, 4))


def test_what_cannot_be_pruned_is_listed_with_its_reason():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1),
        nn.GroupNorm(2, 8),
        nn.Conv2d(8, 6, 1),
        nn.Conv2d(6, 4, 1),
    ).eval()
    graph = trace(model, torch.zeros(1, 3, 4, 4))
    assert [unit.name for unit in graph.units] == ["3"]
    assert graph.fixed.keys() == {"0", "3"}
    assert graph.fixed["0"].startswith(
        "is normalised together with other channels in native_group_norm in '1' (test_graph.py:"
    )
    assert graph.fixed["3"] == "the network's output"


def test_a_model_that_does_not_run_names_the_shape():
    with pytest.raises(GraphError, match=r"does not run on an input of shape \(1, 3, 4, 4\)"):
        trace(nn.Sequential(nn.Conv2d(4, 5, 1)).eval(), torch.zeros(1, 3, 4, 4))


def test_a_layer_that_runs_twice_costs_twice_and_is_not_refitted():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 1)
            self.conv = nn.Conv2d(8, 8, 1)
            self.last = nn.Conv2d(8, 2, 1)

        def forward(self, x):
            return self.last(self.conv(self.conv(self.stem(x)))).mean((2, 3))

    graph = trace(Twice().eval(), torch.randn(1, 3, 4, 4))
    assert [(unit.name, unit.channels) for unit in graph.units] == [("conv", 8)]
    assert not graph.layers["conv"].refits
    half = RESOURCES["macs"].of_channels(graph).total((4,))
    assert half == 16 * (3 * 4 + 2 * 4 * 4 + 4 * 2)


class PaddedShortcut(nn.Module):
    """An option-A shortcut: 16 channels padded to 32, 8 on each side."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 16, 1)
        self.two = nn.Conv2d(16, 32, 1)
        self.last = nn.Conv2d(32, 5, 1)

    def forward(self, x):
        x = torch.relu(self.one(x))
        padded = nn.functional.pad(x, (0, 0, 0, 0, 8, 8))
        return self.last(torch.relu(self.two(x) + padded)).mean((2, 3))


def test_padding_sends_channels_where_it_says_and_stays():
    torch.manual_seed(0)
    model, example = PaddedShortcut().eval(), torch.randn(1, 3, 4, 4)
    graph = trace(model, example)
    (unit,) = graph.units
    assert (unit.channels, unit.members) == (16, ("one", "two", "last"))
    last = graph.layers["last"].inputs
    assert last is not None
    np.testing.assert_array_equal(np.flatnonzero(last.unit == 0), np.arange(8, 24))
    np.testing.assert_array_equal(last.channel[8:24], np.arange(16))
    assert graph.fixed["two"].startswith("is padding of constant_pad_nd (test_graph.py:")


def test_wrongly_coupled_channels_are_an_error_and_not_a_wrong_result():
    """Couple channel 3 of the stream with channel 3 of the padded one instead of channel 11."""
    torch.manual_seed(0)
    model, example = PaddedShortcut().eval(), torch.randn(1, 3, 4, 4)
    graph = trace(model, example)
    wrong = []
    for parameter in graph.parameters:
        axes = [
            axis if len(axis) != 32 else Axis(np.roll(axis.unit, -8), np.roll(axis.channel, -8))
            for axis in parameter.axes
        ]
        wrong.append(replace(parameter, axes=tuple(axes)))
    with pytest.raises(GraphError, match="slimming changes"):
        verify(model, replace(graph, parameters=tuple(wrong)), example)
