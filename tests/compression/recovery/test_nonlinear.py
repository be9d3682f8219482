"""Least squares behind a ReLU: values worked out by hand, and ReLUs found in networks."""

from math import inf

import pytest
import torch
import torchvision
from torch import nn

from amc_gym.compression.recovery.behind_relu import (
    PENALTY,
    add_offset,
    affine,
    nearest_behind_relu,
)
from amc_gym.compression.recovery.fitting import LeastSquares
from amc_gym.compression.tracing import trace


class Clamped(nn.Module):
    def __init__(self, low: float | None, high: float | None) -> None:
        super().__init__()
        self.bounds = low, high

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.clamp(*self.bounds)


@pytest.mark.parametrize("ceiling", [inf, 1.0])
def test_nearest_values_are_the_best_of_a_fine_grid(ceiling):
    torch.manual_seed(0)
    seen = torch.randn(200, dtype=torch.float64).clamp(0, ceiling)
    predicted = 2 * torch.randn(200, dtype=torch.float64)
    found = nearest_behind_relu(seen, predicted, ceiling)
    grid = torch.linspace(-8, 8, 16001, dtype=torch.float64)[:, None]

    def cost(z: torch.Tensor) -> torch.Tensor:
        return (seen - z.clamp(0, ceiling)).square() + PENALTY * (z - predicted).square()

    assert (cost(found) <= cost(grid).min(0).values + 1e-12).all()


def test_what_is_right_already_is_left_alone():
    seen = torch.tensor([0.0, 0.0, 2.0])
    predicted = torch.tensor([-3.0, 0.0, 2.0])
    assert torch.equal(nearest_behind_relu(seen, predicted), predicted)


@pytest.mark.parametrize(("bias", "normed"), [(True, True), (True, False), (False, True)])
def test_scale_and_shift_are_what_the_layer_and_its_norm_do(bias, normed):
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, 1, bias=bias, groups=2).eval()
    norm = nn.BatchNorm2d(6).eval() if normed else None
    if norm is not None:
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert tensor is not None
            nn.init.uniform_(tensor, 0.5, 2)
    images = torch.randn(5, 4, 3, 3)

    def forward() -> torch.Tensor:
        return layer(images) if norm is None else norm(layer(images))

    linear = nn.functional.conv2d(images, layer.weight, groups=2)
    scale, shift = (each.view(1, 6, 1, 1) for each in affine(layer, norm, 2))
    torch.testing.assert_close(scale * linear + shift, forward())
    before, offset = forward(), torch.arange(6.0)
    add_offset(layer, norm, offset)
    torch.testing.assert_close(
        forward() - before, (scale * offset.view(1, 6, 1, 1)).expand(before.shape)
    )


def test_least_squares_with_an_offset_are_those_with_a_column_of_ones():
    torch.manual_seed(0)
    rows = torch.randn(1, 500, 7, dtype=torch.float64) + 3
    wanted = torch.randn(1, 500, 2, dtype=torch.float64) + rows[..., :2] - 5
    squares = LeastSquares(rows, torch.zeros(1, 7, 2, dtype=torch.float64), offset=True)
    found = squares.fit(wanted)
    ones = torch.cat([rows, torch.ones_like(rows[..., :1])], -1)
    best = torch.linalg.lstsq(ones[0], wanted[0]).solution
    torch.testing.assert_close(found.weights[0], best[:7], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.offset[0], best[7:], rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(found(rows), rows @ found.weights + found.offset)


def test_relus_are_found_behind_layers_and_norms():
    graph = trace(torchvision.models.resnet18(num_classes=4).eval(), torch.randn(1, 3, 32, 32))
    assert graph.layers["layer1.0.conv1"].ceiling == inf
    assert graph.layers["layer1.0.conv2"].ceiling is None  # an addition comes first
    assert graph.layers["fc"].ceiling is None
    plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten()).eval()
    graph = trace(nn.Sequential(plain, nn.Linear(4 * 16, 2)).eval(), torch.randn(1, 3, 8, 8))
    assert [layer.ceiling for layer in graph.layers.values()] == [inf, None, None]


@pytest.mark.parametrize(
    ("between", "ceiling"),
    [
        (nn.ReLU6(), 6),
        (nn.ReLU6(inplace=True), 6),
        (nn.Hardtanh(0, 3), 3),
        (nn.Hardtanh(), None),
        (Clamped(0, 4), 4),
        (Clamped(0, None), inf),
        (Clamped(None, 4), None),
        (Clamped(-1, 4), None),
        (nn.GELU(), None),
    ],
)
def test_relus_with_a_ceiling_are_found(between, ceiling):
    layers = [nn.Conv2d(3, 8, 3), between, nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 2)]
    graph = trace(nn.Sequential(*layers).eval(), torch.randn(1, 3, 8, 8))
    assert graph.layers["0"].ceiling == ceiling
