"""Registered networks: their published sizes, and the identities on their variants for digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small import lively, macs_by_torch
from torch import nn
from torchvision import models as torchvision_models

from amc_gym.compression.cost import RESOURCES, counted_macs, counted_params
from amc_gym.compression.pruning.pruner import Pruner
from amc_gym.compression.slim import mask, slim
from amc_gym.compression.tracing import trace, verify
from amc_gym.registration import IDS
from amc_gym.zoo import models

# Millions of MACs and parameters. He et al. 2016 give 0.85 M and 0.27 M parameters, torchvision
# the rest; the usual implementation of the CIFAR networks counts 126 M and 41 M MACs.
SIZES = {
    ("ResNet56", "cifar10"): (125_485_696, 853_018),
    ("Plain20", "cifar10"): (40_551_040, 269_722),
    ("MobileNet", "imagenet"): (568_740_352, 4_231_976),
    ("MobileNetV2", "imagenet"): (300_774_272, 3_504_872),
    ("VGG16", "imagenet"): (15_470_264_320, 138_357_544),
    ("ResNet50", "imagenet"): (4_089_184_256, 25_557_032),
}


@pytest.mark.parametrize(("network", "dataset"), SIZES)
def test_networks_have_the_published_size(network: str, dataset: str) -> None:
    side = 224 if dataset == "imagenet" else 32
    with torch.device("meta"):
        model = models.build(network, dataset)
        macs = macs_by_torch(model, torch.zeros(1, 3, side, side, device="meta"))
    assert (macs, counted_params(model)) == SIZES[network, dataset]


@pytest.mark.parametrize("network", ["MobileNetV2", "VGG16", "ResNet50"])
def test_imagenet_networks_are_torchvisions(network: str) -> None:
    name = models.NETWORKS[network].torchvision
    assert name is not None
    builder = name.split("_Weights")[0].lower()
    with torch.device("meta"):
        ours = models.build(network, "imagenet").state_dict()
        theirs = torchvision_models.get_model(builder).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    assert torchvision_models.get_weight(name).meta["num_params"] == SIZES[network, "imagenet"][1]


@pytest.mark.parametrize("network", models.NETWORKS)
def test_every_setting_builds_and_maps_its_images_to_its_classes(network: str) -> None:
    for dataset, shape, classes in (
        ("digits", (1, 16, 16), 10),
        ("cifar10", (3, 32, 32), 10),
        ("imagenet", (3, 224, 224), 1000),
        ("imagenette", (3, 160, 160), 10),
        ("imagenette96", (3, 96, 96), 10),
        ("folder", (3, 64, 64), 7),
    ):
        if dataset not in (*models.NETWORKS[network].variants, "folder"):
            continue
        with torch.device("meta"):
            model = models.build(network, dataset, classes).eval()
            assert model(torch.zeros(2, *shape)).shape == (2, classes)


def test_every_registered_id_has_a_network() -> None:
    assert set(IDS.values()) == set(models.NETWORKS)


@pytest.fixture(scope="module", params=models.NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return lively(models.build(request.param, "digits"))


def test_slim_equals_masked_equals_swapped_tensors_and_costs_as_counted(network) -> None:
    images = torch.randn(4, 1, 16, 16, dtype=torch.float64)
    model = network.double()
    graph = trace(model, images[:1])
    verify(model, graph, images[:1])
    rng = np.random.default_rng(1)
    orders = [rng.permutation(count) for count in graph.full]
    counts = [int(rng.integers(1, count + 1)) for count in graph.full]
    kept = Pruner(model, graph, orders, {}).kept(counts)
    small = slim(model, graph, kept)
    with torch.inference_mode():
        expected = mask(model, graph, kept)(images)
        actual = small(images)
        scale = expected.abs().max()
        torch.testing.assert_close(actual / scale, expected / scale, rtol=1e-9, atol=1e-9)
        assert not torch.allclose(model(images) / scale, expected / scale, atol=1e-3)
    assert RESOURCES["macs"].of_channels(graph).total(counts) == counted_macs(small, images)
    assert RESOURCES["params"].of_channels(graph).total(counts) == counted_params(small)
    assert counted_params(small) < counted_params(model)
