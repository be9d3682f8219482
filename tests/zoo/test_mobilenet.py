"""MobileNet-V1: its paper's figures, 569 million MACs and 4.2 million parameters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small import macs_by_torch
from torch import nn

from amc_gym.zoo import bundled
from amc_gym.zoo.models import MobileNetV1, architecture, build

NO_FIELDS = {"accuracy": {}, "fingerprints": {}, "recipe": {}}
"""Fields of a card that its writer has to give, all empty."""


def test_large_networks_are_kept_in_half_precision_and_measured_so(tmp_path: Path) -> None:
    """Measure weights rounded to half precision, so that loaded weights are the measured ones."""
    torch.manual_seed(0)
    model = build("MobileNet", "cifar10").eval()
    images = torch.randn(2, 3, 32, 32)
    model.load_state_dict(bundled.stored(model))
    path = bundled.save(
        model, "MobileNet", "cifar10", input_shape=(3, 32, 32), fields=NO_FIELDS, directory=tmp_path
    )
    assert path.stat().st_size < 8 * 10**6
    loaded = bundled.load("MobileNet", "cifar10", tmp_path)
    assert loaded(images).equal(model(images))
    assert next(loaded.parameters()).dtype == torch.float32


def test_small_networks_are_kept_as_they_are() -> None:
    model = build("Plain20", "cifar10")
    assert all(
        a is not None and a.equal(b)
        for a, b in zip(bundled.stored(model).values(), model.state_dict().values(), strict=True)
    )


def test_imagenet_network_has_the_published_size() -> None:
    with torch.device("meta"):
        model = MobileNetV1()
        assert macs_by_torch(model, torch.zeros(1, 3, 224, 224, device="meta")) == 568_740_352
    assert sum(parameter.numel() for parameter in model.parameters()) == 4_231_976


@pytest.mark.parametrize(
    ("width", "expected"), [(0.75, (24, 48, 768)), (0.05, (8, 8, 48)), (0.3, (8, 16, 304))]
)
def test_width_rounds_channels_to_multiples_of_eight(
    width: float, expected: tuple[int, int, int]
) -> None:
    with torch.device("meta"):
        model = MobileNetV1(width=width)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert (convolutions[0].out_channels, convolutions[2].out_channels) == expected[:2]
    assert model.classifier.in_features == expected[2]


def test_digits_network_ends_at_two_by_two() -> None:
    model = build("MobileNet", "digits").eval()
    assert isinstance(model, MobileNetV1)
    images = torch.zeros(3, 1, 16, 16)
    with torch.inference_mode():
        assert model.blocks(model.stem(images)).shape == (3, 512, 2, 2)
        assert model(images).shape == (3, 10)


def test_module_names_are_those_the_weights_use() -> None:
    names = set(build("MobileNet", "digits").state_dict())
    assert {
        "stem.conv.weight",
        "stem.norm.running_mean",
        "blocks.0.depthwise.conv.weight",
        "blocks.12.pointwise.norm.bias",
        "classifier.bias",
    } <= names


def test_initial_activations_neither_vanish_nor_explode() -> None:
    torch.manual_seed(0)
    block = MobileNetV1().blocks[3]
    assert isinstance(block, nn.Module)
    variances = []
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            inputs = torch.randn(4, module.in_channels, 14, 14).relu()
            # E[relu(x)^2] = 1/2, which He initialisation over fan_in doubles.
            variances.append(module(inputs)[..., 1:-1, 1:-1].var().item())
    assert variances == pytest.approx([1.0, 1.0], abs=0.35)


@pytest.mark.parametrize("arguments", [{"width": 0.0}, {"strides": (1, 2)}])
def test_impossible_architectures_are_refused(arguments: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        MobileNetV1(**arguments)


def test_unknown_names_are_answered_with_the_near_match() -> None:
    with pytest.raises(ValueError, match="did you mean 'MobileNet'"):
        build("mobilnet", "digits")
    with pytest.raises(ValueError, match="did you mean 'digits'"):
        architecture("MobileNet", "digit")
