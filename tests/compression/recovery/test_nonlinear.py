"""Least squares behind a ReLU: values by hand, and networks that come nearer to the original."""

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


def test_nearest_values_are_the_best_of_a_fine_grid():
    torch.manual_seed(0)
    seen = torch.randn(200, dtype=torch.float64).clamp_min(0)
    predicted = 2 * torch.randn(200, dtype=torch.float64)
    found = nearest_behind_relu(seen, predicted)
    grid = torch.linspace(-8, 8, 16001, dtype=torch.float64)[:, None]

    def cost(z: torch.Tensor) -> torch.Tensor:
        return (seen - z.clamp_min(0)).square() + PENALTY * (z - predicted).square()

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
    assert graph.layers["layer1.0.conv1"].relu
    assert not graph.layers["layer1.0.conv2"].relu  # an addition comes first
    assert not graph.layers["fc"].relu
    plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten()).eval()
    graph = trace(nn.Sequential(plain, nn.Linear(4 * 16, 2)).eval(), torch.randn(1, 3, 8, 8))
    assert [layer.relu for layer in graph.layers.values()] == [True, False, False]
