"""Networks of torchvision and timm in small sizes: results of `benchmarks networks` in seconds."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.tracing import trace
from benchmarks.networks.catalogue import Entry, with_statistics
from benchmarks.networks.ours import MAX_SPARSITY, largest, share
from benchmarks.networks.peer import masked_like, peer

SHALLOW: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"depth": 2, "img_size": 32},
    "convnext_atto": {"depths": (1, 1, 1, 1)},
    "swin_tiny_patch4_window7_224": {"depths": (2, 1), "num_heads": (3, 6), "img_size": 56},
    "cs3darknet_s": {},
    "fasternet_t0": {},
    "ghostnet_050": {},
}
"""Options that make networks of timm small, by network."""


@pytest.mark.parametrize("name", SHALLOW)
def test_networks_of_timm_lose_channels_everywhere(name: str) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=10, **SHALLOW[name])
    model = with_statistics(model, torch.Generator().manual_seed(1))
    side = SHALLOW[name].get("img_size", 64)
    graph = trace(model, torch.randn(2, 3, side, side))
    assert {why for why in graph.fixed.values()} == {"the network's output"}
    assert share(graph, 1 - MAX_SPARSITY) < 0.15


def test_a_vision_transformer_of_torchvision_has_heads_hidden_widths_and_one_stream() -> None:
    torch.manual_seed(0)
    model = torchvision.models.VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=10).eval()
    nn.init.normal_(model.heads[0].weight)
    graph = trace(model, torch.randn(2, 3, 32, 32))
    layers = [f"encoder.layers.encoder_layer_{i}" for i in range(2)]
    parts = ("self_attention.out_proj", "mlp.3")
    heads_and_mlps = [f"{layer}.{part}" for layer in layers for part in parts]
    stream = f"{layers[0]}.mlp.0"  # the first layer that reads the stream names its unit
    assert [unit.name for unit in graph.units] == [heads_and_mlps[0], stream, *heads_and_mlps[1:]]
    assert graph.full == (8, 32, 64, 8, 64)  # eight positions in each of four heads


def test_torch_prunings_networks_are_checked_by_masking() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten(),
        nn.Linear(6 * 16, 10),
    ).eval()  # fmt: skip
    images = torch.randn(2, 3, 8, 8)
    small = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten(),
        nn.Linear(6 * 16, 10),
    ).eval()  # fmt: skip
    rows = torch.tensor([1, 2, 5, 7])
    state = model.state_dict()
    for key in ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
        state[key] = state[key][rows]
    state["3.weight"] = state["3.weight"][:, rows]
    small.load_state_dict(state)
    with torch.no_grad():
        torch.testing.assert_close(masked_like(model, small)(images), small(images))
        small.get_parameter("3.weight").copy_(state["3.weight"].flip(1))
        assert not torch.allclose(masked_like(model, small)(images), small(images), atol=1e-3)
    assert peer(model, images, classes=10)["verdict"] == "right"


def test_shares_are_costs_of_the_channels_that_are_left() -> None:
    model, images = Entry("torchvision", "squeezenet1_1").build()
    graph = trace(model, images)
    cost = RESOURCES["macs"].of_channels(graph)
    least = [-(-unit.channels // 5) for unit in graph.units]
    assert share(graph, 1 - MAX_SPARSITY) == cost.total(least) / cost.full
    kept = largest(graph, 0.6)
    assert share(graph, kept) <= 0.6 < share(graph, kept + 0.02)
