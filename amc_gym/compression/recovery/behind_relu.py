"""Least squares behind a ReLU: only what the next layer gets to see of an output counts.

Where the original output is negative, any negative value is as good.  With y the original outputs
of a layer behind its batch norm, X~ the inputs that the pruned layers before it really produce, and
r(x) = min(max(x, 0), ceiling), the ceiling infinite but for ReLU6 and its like,

    min over W, b and z of  |r(y) - r(z)|^2 + penalty |z - (X~ W + b)|^2

by turns: the best z of given weights is known value by value, and the best weights of a given z are
least squares with one and the same matrix (Zhang, Zou, He and Sun, "Accelerating Very Deep
Convolutional Networks for Classification and Detection", TPAMI 2016, section 3.2).
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
"""Share of a norm's largest scale: below it an output is constant, and nothing is to be fitted."""

F = TypeVar("F", bound=Callable[[Tensor], Tensor])
"""A fitted layer: (groups, samples, columns) -> (groups, samples, outputs)."""


@dataclass(frozen=True)
class Behind:
    """Way of a layer's output z through a norm, an addition and a ReLU, r(scale z + shift).

    Attributes:
        scale: (groups, 1, outputs); ones where there is no norm.
        shift: (groups, 1 or samples, outputs): with what is added, if anything.
        ceiling: of the ReLU; ``None`` where there is none.
        aims: what is wanted before it, (groups, samples, outputs).
    """

    scale: Tensor
    shift: Tensor
    ceiling: float | None
    aims: Tensor

    def part(self, chosen: slice) -> Behind:
        """Return the way of some of the samples."""
        shift = self.shift if self.shift.shape[1] == 1 else self.shift[:, chosen]
        return Behind(self.scale, shift, self.ceiling, self.aims[:, chosen])

    def seen(self, outputs: Tensor) -> Tensor:
        """Return what the next layer sees of outputs."""
        return self.let_through(self.scale * outputs + self.shift)

    def let_through(self, before: Tensor) -> Tensor:
        """Return what the ReLU, if there is one, lets through."""
        return before if self.ceiling is None else before.clamp(0, self.ceiling)

    def outputs(self, aims: Tensor, plain: Tensor) -> Tensor:
        """Return outputs that come to ``aims`` before the ReLU; ``plain`` without a scale."""
        moves = self.scale.abs() > SMALLEST_SCALE * self.scale.abs().max()
        return torch.where(moves, (aims - self.shift) / torch.where(moves, self.scale, 1.0), plain)

    def fit(self, fit: Callable[[Tensor], F], found: F, rows: Tensor, plain: Tensor) -> F:
        """Fit by turns.

        Args:
            fit: wanted outputs, (groups, samples, outputs) -> the layer fitted to them.
            found: the layer fitted to the outputs that come to ``aims``, to begin with.
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
        predicted: what the layer gives at the moment, of the same shape.
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
    """Affine map of a layer's output without its bias: scale and shift, (groups, 1, outputs)."""
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
    """Add to a layer's output, (outputs,): in its bias, or in the mean that the norm takes off."""
    with torch.no_grad():
        if isinstance(layer.bias, Tensor):
            layer.bias.add_(offset.to(layer.bias))
        elif isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            assert norm.running_mean is not None
            norm.running_mean.sub_(offset.to(norm.running_mean))


def has_offset(layer: nn.Module, norm: nn.Module | None) -> bool:
    """Whether there is a place for one."""
    return layer.bias is not None or getattr(norm, "running_mean", None) is not None
