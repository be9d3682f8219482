"""Least squares behind a ReLU, in which only what the next layer sees of an output counts.

Where the original output is negative, any negative value is as good.  With y the original outputs
of a layer after its batch norm, X~ the actual inputs from the pruned layers before it, and
r(x) = min(max(x, 0), ceiling), with an infinite ceiling except for ReLU6 and similar functions,

    min over W, b and z of  |r(y) - r(z)|^2 + penalty |z - (X~ W + b)|^2

is solved alternately: the best z for given weights is known value by value, and the best weights
for a given z are least squares, always with the same matrix (Zhang, Zou, He and Sun, "Accelerating
Very Deep Convolutional Networks for Classification and Detection", TPAMI 2016, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TypeVar

import torch
from torch import Tensor, nn

PENALTY = 1.0
TURNS = 3

SMALLEST_SCALE = 1e-6
"""Share of a norm's largest scale below which an output is constant and needs no fit."""

F = TypeVar("F", bound=Callable[[Tensor], Tensor])
"""A type of fitted layer: (groups, samples, columns) -> (groups, samples, outputs)."""


@dataclass(frozen=True)
class OutputTransform:
    """Operations after a layer's output z: a norm, an addition and a ReLU, r(scale z + shift).

    Attributes:
        scale: (groups, 1, outputs); ones without a norm.
        shift: (groups, 1 or samples, outputs), including what is added, if anything.
        ceiling: of the ReLU; ``None`` if there is none.
        aims: wanted values before the ReLU, (groups, samples, outputs).
    """

    scale: Tensor
    shift: Tensor
    ceiling: float | None
    aims: Tensor

    def part(self, chosen: slice) -> OutputTransform:
        """Return the part that belongs to some of the samples."""
        shift = self.shift if self.shift.shape[1] == 1 else self.shift[:, chosen]
        return OutputTransform(self.scale, shift, self.ceiling, self.aims[:, chosen])

    def seen(self, outputs: Tensor) -> Tensor:
        """Return what the next layer sees of outputs."""
        return self.let_through(self.scale * outputs + self.shift)

    def let_through(self, before: Tensor) -> Tensor:
        """Return values after the ReLU, if there is one."""
        return before if self.ceiling is None else before.clamp(0, self.ceiling)

    def outputs(self, aims: Tensor, plain: Tensor) -> Tensor:
        """Return outputs that become ``aims`` before the ReLU; ``plain`` where the scale is 0."""
        moves = self.scale.abs() > SMALLEST_SCALE * self.scale.abs().max()
        return torch.where(moves, (aims - self.shift) / torch.where(moves, self.scale, 1.0), plain)

    def fit(self, fit: Callable[[Tensor], F], found: F, rows: Tensor, plain: Tensor) -> F:
        """Fit alternately.

        Args:
            fit: fits a layer to wanted outputs, (groups, samples, outputs).
            found: the first fit, to the outputs that become ``aims``.
            rows: inputs, (groups, samples, columns).
            plain: wanted outputs of the layer where the norm has no scale.
        """
        assert self.ceiling is not None
        for _ in range(TURNS):
            predicted = self.scale * found(rows) + self.shift
            nearest = nearest_behind_relu(self.let_through(self.aims), predicted, self.ceiling)
            found = fit(self.outputs(nearest, plain))
        return found


def nearest_behind_relu(seen: Tensor, predicted: Tensor, ceiling: float = inf) -> Tensor:
    """Return the z that minimise (seen - r(z))^2 + PENALTY (z - predicted)^2, value by value.

    Args:
        seen: r(y), from 0 to the ceiling.
        predicted: the layer's current outputs, of the same shape.
        ceiling: of the ReLU.
    """
    below = predicted.clamp_max(0)
    cost_below = seen.square() + PENALTY * (below - predicted).square()
    above = ((seen + PENALTY * predicted) / (1 + PENALTY)).clamp(0, ceiling)
    cost_above = (seen - above).square() + PENALTY * (above - predicted).square()
    nearest = torch.where(cost_below < cost_above, below, above)
    if ceiling == inf:
        return nearest
    beyond = predicted.clamp_min(ceiling)
    cost_beyond = (seen - ceiling).square() + PENALTY * (beyond - predicted).square()
    return torch.where(cost_beyond < torch.minimum(cost_below, cost_above), beyond, nearest)


def affine(layer: nn.Module, norm: nn.Module | None, groups: int) -> tuple[Tensor, Tensor]:
    """Return scale and shift, (groups, 1, outputs), of a layer's output without its bias."""
    bias = layer.bias
    assert bias is None or isinstance(bias, Tensor)
    if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        shift = norm.bias + scale * ((0 if bias is None else bias) - norm.running_mean)
    else:
        assert bias is not None
        scale, shift = torch.ones_like(bias), bias
    return scale.detach().view(groups, 1, -1), shift.detach().view(groups, 1, -1)


def add_offset(layer: nn.Module, norm: nn.Module | None, offset: Tensor) -> None:
    """Add an offset (outputs,) to a layer's output, in its bias or in its norm's mean."""
    with torch.no_grad():
        if isinstance(layer.bias, Tensor):
            layer.bias.add_(offset.to(layer.bias))
        elif isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            assert norm.running_mean is not None
            norm.running_mean.sub_(offset.to(norm.running_mean))


def has_offset(layer: nn.Module, norm: nn.Module | None) -> bool:
    """Return whether a layer or its norm can hold an offset."""
    return layer.bias is not None or getattr(norm, "running_mean", None) is not None
