"""Shortcuts: the tensor that a layer's output is added to is found, however the sum is written."""

import numpy as np
import pytest
import torch
import torchvision
from small import ExactCalibration
from torch import nn
from torch.nn import functional as F

from amc_gym.compression.recovery import chain
from amc_gym.compression.recovery.shortcuts import find
from amc_gym.compression.tracing import trace


def ends(graph):
    return {name: each.norm or name for name, each in graph.layers.items() if each.kind != "norm"}


class Block(nn.Module):
    """A residual block whose sum is written in one of several ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.inner = nn.Conv2d(8, 12, 3, padding=1)
        self.outer = nn.Conv2d(12, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.ReLU6()

    def forward(self, x):
        out = self.norm(self.outer(F.relu(self.inner(x))))
        match self.way:
            case "operator":
                return F.relu(out + x)
            case "other way round":
                return F.relu(x + out)
            case "in place":
                out += x
                return F.relu(out, inplace=True)
            case "function":
                return torch.relu_(torch.add(out, x))
            case "relu6":
                return self.last(out + x)
            case "no relu":
                return x + out
            case "changed before":
                return F.relu(F.relu_(out) + x)
            case _:
                return F.relu(x * out)


def network(way: str) -> nn.Module:
    torch.manual_seed(0)
    head = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    tail = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    return nn.Sequential(*head, Block(way), Block(way), *tail).eval()


@pytest.mark.parametrize(
    ("way", "found", "relu"),
    [
        ("operator", True, True),
        ("other way round", True, True),
        ("in place", True, True),
        ("function", True, True),
        ("relu6", True, True),
        ("no relu", True, False),
        ("changed before", False, False),
        ("product", False, False),
    ],
)
def test_sums_are_found_however_they_are_written(way, found, relu):
    model, images = network(way), torch.randn(2, 3, 8, 8)
    shortcuts = find(model, images, ends(trace(model, images[:1])))
    assert set(shortcuts) == ({"3.outer", "4.outer"} if found else set())
    assert all((shortcut.ceiling is not None) == relu for shortcut in shortcuts.values())


def test_of_two_layers_that_are_added_the_later_one_makes_up():
    model, images = torchvision.models.resnet18(num_classes=4).eval(), torch.randn(1, 3, 32, 32)
    shortcuts = find(model, images, ends(trace(model, images)))
    assert "layer2.0.downsample.0" in shortcuts
    assert "layer2.0.conv2" not in shortcuts
    assert {"layer1.0.conv2", "layer1.1.conv2", "layer2.1.conv2"} <= set(shortcuts)


def test_networks_without_sums_have_none():
    model, images = torchvision.models.vgg11_bn(num_classes=4).eval(), torch.randn(1, 3, 32, 32)
    assert find(model, images, ends(trace(model, images))) == {}


@pytest.fixture(scope="module", params=["in place", "no relu"])
def residual(request):
    model = network(request.param)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    return ExactCalibration(model, torch.randn(400, 3, 5, 5))


def test_keeping_everything_changes_nothing(residual):
    kept = tuple(np.arange(c) for c in residual.graph.full)
    same = chain("nonlinear").recover(kept, residual)
    images = next(iter(residual.images()))
    torch.testing.assert_close(same(images), residual.model(images), rtol=1e-6, atol=1e-6)


def test_later_blocks_make_up_for_earlier_ones(residual):
    """Correct in the second block the error of the first, which arrives by the shortcut."""
    images = next(iter(residual.images()))
    kept = tuple(
        np.arange(c // 3 if unit.name == "3.outer" else c)
        for c, unit in zip(residual.graph.full, residual.graph.units, strict=True)
    )
    errors = []
    for blind in (False, True):
        if blind:
            residual.targets.shortcuts.clear()
        small = chain("nonlinear").recover(kept, residual)
        with torch.no_grad():
            maps = [
                nn.Sequential(*list(net.children())[:5])(images) for net in (small, residual.model)
            ]
            errors.append(float((maps[0] - maps[1]).square().mean()))
    assert errors[0] < 0.9 * errors[1]
