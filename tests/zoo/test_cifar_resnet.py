"""ResNets with option-A shortcuts: three streams are pruned separately; channels keep places."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from small import lively
from torch.nn import functional

from amc_gym import CompressionTask
from amc_gym.compression.channel_map import NOWHERE, ChannelMap
from amc_gym.compression.recovery.reconstruction import refit
from amc_gym.compression.slim import mask, slim
from amc_gym.compression.tracing import trace
from amc_gym.engine.cache import engines
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions
from amc_gym.tasks.split import Split
from amc_gym.zoo.models import CifarResNet

torch.manual_seed(0)
MODEL = lively(CifarResNet(20))
IMAGES = torch.randn(4, 3, 32, 32)
GRAPH = trace(MODEL, IMAGES[:1])
STREAMS = {"layer1.0.conv1": 16, "layer2.1.conv1": 32, "layer3.1.conv1": 64}


def test_a_map_is_the_padded_shortcut_of_the_common_implementation() -> None:
    shortcut = MODEL.get_submodule("layer2.0.shortcut")
    x = torch.randn(2, 16, 9, 9)
    expected = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 8, 8))
    assert torch.equal(shortcut(x), expected)
    with pytest.raises(ValueError, match="channels below 2"):
        ChannelMap([0, 2], inputs=2)


def test_the_three_streams_are_units_of_their_own() -> None:
    units = {unit.name: unit for unit in GRAPH.units}
    assert {name: units[name].channels for name in STREAMS} == STREAMS
    assert len(units) == 3 + 9  # three streams, and the inner channels of nine blocks
    sides = [(remap.inputs.units, remap.outputs.units) for remap in GRAPH.remaps]
    streams = [[u.name for u in GRAPH.units].index(name) for name in STREAMS]
    assert sides == [((streams[0],), (streams[1],)), ((streams[1],), (streams[2],))]


@pytest.mark.parametrize("stream", STREAMS)
def test_slimming_one_stream_leaves_the_others(stream: str) -> None:
    rng = np.random.default_rng(0)
    kept = tuple(
        np.sort(rng.permutation(unit.channels)[:5])
        if unit.name == stream
        else np.arange(unit.channels)
        for unit in GRAPH.units
    )
    small = slim(MODEL, GRAPH, kept)
    for other, channels in STREAMS.items():
        layer = small.get_submodule(other)
        assert layer.in_channels == (5 if other == stream else channels)
    torch.testing.assert_close(
        small(IMAGES), mask(MODEL, GRAPH, kept)(IMAGES), rtol=1e-4, atol=1e-3
    )


def test_the_map_of_a_slim_network_finds_what_is_left_of_its_source() -> None:
    kept = [np.arange(unit.channels) for unit in GRAPH.units]
    index = {unit.name: i for i, unit in enumerate(GRAPH.units)}
    kept[index["layer1.0.conv1"]] = np.array([0, 3, 15])
    kept[index["layer2.1.conv1"]] = np.array([7, 8, 9, 11, 23, 24])
    shortcut = slim(MODEL, GRAPH, tuple(kept)).get_submodule("layer2.0.shortcut")
    # Channel c of stream one goes to c + 8: 8 <- 0, 9 <- 1 (pruned), 11 <- 3, 23 <- 15.
    assert isinstance(shortcut, ChannelMap)
    assert shortcut.source.tolist() == [NOWHERE, 0, NOWHERE, 1, 2, NOWHERE]
    assert repr(shortcut) == "ChannelMap(3, 6, stride=2)"
    assert MODEL.get_submodule("layer2.0.shortcut").inputs == 16


def test_slim_networks_are_saved_with_their_map() -> None:
    kept = tuple(np.arange(unit.channels // 2) for unit in GRAPH.units)
    small = slim(MODEL, GRAPH, kept)
    again = copy.deepcopy(small)
    for module in again.modules():
        if isinstance(module, ChannelMap):
            module.source.fill_(NOWHERE)
    again.load_state_dict(small.state_dict())
    assert torch.equal(again(IMAGES), small(IMAGES))


@pytest.mark.filterwarnings("ignore:this cpu has no bf16")
@pytest.mark.parametrize("recovery", ["none", "reconstruct"])
def test_the_evaluators_network_is_the_built_one(recovery: str) -> None:
    def split(n: int, seed: int) -> Split:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randn(n, 3, 32, 32, generator=generator)
        return Split(images, torch.zeros(n, dtype=torch.int64))

    task = CompressionTask(MODEL, split(200, 1), split(8, 2), split(8, 3))
    made = Engine(engines.analysis(task), EngineOptions(recovery=recovery))
    rng = np.random.default_rng(0)
    counts: list[int] = []
    for _ in range(3):
        counts = [int(rng.integers(count // 2, count + 1)) for count in made.graph.full]
        kept, weights = made.pruning.kept(counts), None
        if recovery == "reconstruct":
            weights = refit(task.model, made.graph, engines.analysis(task).grams, kept)
        with torch.inference_mode():
            expected = slim(task.model, made.graph, kept, weights)(IMAGES)
            actual = made.evaluator.network(counts)(IMAGES)
        scale = expected.abs().max()
        torch.testing.assert_close(actual / scale, expected / scale, rtol=1e-3, atol=1e-3)
    low = Engine(engines.analysis(task), EngineOptions(recovery=recovery, precision="bf16"))
    assert low.evaluator(counts).images == 8  # the map's indices stay whole numbers


def test_plain_networks_have_no_streams() -> None:
    graph = trace(lively(CifarResNet(20, residual=False)), IMAGES[:1])
    assert len(graph.units) == 19
    assert all(len(unit.consumers) == 1 for unit in graph.units)
    assert graph.remaps == ()


def test_a_depth_is_six_n_plus_two() -> None:
    for depth in (21, 2):
        with pytest.raises(ValueError, match=r"6 n \+ 2"):
            CifarResNet(depth)
