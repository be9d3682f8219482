"""Sequential reconstruction: each layer re-fitted on what the pruned layers before it produce.

Layer by layer in execution order, with X the unfolded inputs of the original network and X~ those
of the slim one, whose earlier layers are re-fitted already:

    W = argmin |X~ W - X W0|^2 + ridge |W - W_kept|^2
      = (X~'X~ + ridge I)^-1 (X~' Y + ridge W_kept),   Y = X W0

It costs one pass over the images for each plan: a layer is fitted the moment its inputs arrive,
and its outputs, on which the next layer is fitted, are computed with the new weights.

The nonlinear variant has an offset for each output as well, makes up for the errors of what the
output is added to (`shortcuts`), and before a ReLU fits what comes behind it (`behind_relu`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from amc_gym.compression.graph import ChannelGraph, Layer
from amc_gym.compression.recovery.behind_relu import Behind, add_offset, affine, has_offset
from amc_gym.compression.recovery.reconstruction import RIDGE, as_matrix, as_weight
from amc_gym.compression.recovery.recovery import Calibration, Recovery, register
from amc_gym.compression.recovery.targets import Targets, grouped
from amc_gym.compression.slim import Kept

ROWS = 4096
"""Whose products are summed in the images' own precision; the sums of these are in float64."""


@register
@dataclass(frozen=True)
class Sequential(Recovery):
    """Fit each layer on the inputs that the pruned layers before it really produce."""

    name = "sequential"
    summary = "least squares on the inputs that the pruned layers before really produce"
    order = 20
    needs = frozenset({"targets"})
    nonlinear: ClassVar[bool] = False

    def apply(self, network: nn.Module, kept: Kept | None, calibration: Calibration) -> nn.Module:
        """Re-fit the layers of ``network`` in place, in execution order."""
        assert kept is not None
        graph, targets = calibration.graph, calibration.targets
        refit_sequentially(network, graph, kept, targets, nonlinear=self.nonlinear)
        return network


@register
@dataclass(frozen=True)
class Nonlinear(Sequential):
    """Fit as ``Sequential``, with offsets, for shortcuts too, towards what a ReLU lets through."""

    name = "nonlinear"
    summary = "sequential with offsets, for shortcuts too, towards what a ReLU lets through"
    order = 30
    nonlinear = True


def refit_sequentially(
    network: nn.Module, graph: ChannelGraph, kept: Kept, targets: Targets, *, nonlinear: bool
) -> None:
    """Re-fit the layers of a slim network in place, in execution order.

    Args:
        network: the slim network of ``kept``, in eval mode.
        graph: the channel graph of the original one.
        kept: kept channels of each unit.
        targets: the original outputs.
        nonlinear: whether outputs have offsets and count behind their ReLU.
    """

    def fit(
        layer: Layer, rows: torch.Tensor, added: torch.Tensor | None, module: nn.Module
    ) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        outputs = torch.from_numpy(layer.outputs.kept(kept)).to(rows.device)

        def of_kept(full: torch.Tensor) -> torch.Tensor:
            return grouped(full.transpose(0, 1).flatten(1)[:, outputs], layer.groups)

        wanted = of_kept(targets.outputs[layer.name])
        norm = None if layer.norm is None else network.get_submodule(layer.norm)
        offset = nonlinear and has_offset(module, norm)
        squares = LeastSquares(rows, as_matrix(weight, layer.groups).to(rows), offset=offset)
        if not offset:
            squares.fit(wanted)
        else:
            scale, shift = affine(module, norm, layer.groups)
            relu, end, original = layer.relu, shift, shift
            if added is not None:
                relu = targets.shortcuts[layer.name].relu
                end, original = shift + added, shift + of_kept(targets.added[layer.name])
            behind = Behind(scale, end, relu=relu)
            behind.fit(squares.fit, scale * wanted + original, wanted)
        weight.data.copy_(as_weight(squares.weights, weight))
        if offset:
            add_offset(module, norm, squares.offset.flatten())

    targets.visit(network, fit)


class LeastSquares:
    """Weights near given ones that bring inputs to wanted outputs, factored once.

    The change of the weights is fitted to what is missing, so that nothing changes where nothing
    is missing, whatever the rounding.

    Args:
        rows: inputs, (groups, samples, columns).
        start: the given weights, (groups, columns, outputs).
        offset: whether outputs have one, which costs nothing.

    Attributes:
        weights: of the last fit, (groups, columns, outputs).
        offset: of the last fit, (groups, 1, outputs).
    """

    def __init__(self, rows: torch.Tensor, start: torch.Tensor, *, offset: bool) -> None:
        self._mean = rows.mean(1, keepdim=True) if offset else torch.zeros_like(rows[:, :1])
        self._rows = rows - self._mean if offset else rows
        self._start = start
        self._predicted = self._rows @ start
        gram = self._products(self._rows)
        ridge = RIDGE * gram.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
        ridge = torch.where(ridge > 0, ridge, 1.0)
        self._factor = torch.linalg.lu_factor(gram + ridge * torch.eye(gram.shape[-1]).to(gram))
        self._movable = offset
        self.weights, self.offset = start, torch.zeros_like(start[:, :1])

    def fit(self, wanted: torch.Tensor) -> torch.Tensor:
        """Fit to wanted outputs, (groups, samples, outputs), and return those of the weights."""
        missing = wanted - self._predicted
        middle = missing.mean(1, keepdim=True) if self._movable else 0.0
        change = torch.linalg.lu_solve(*self._factor, self._products(missing - middle))
        self.weights = self._start + change.to(self._start)
        if self._movable:
            self.offset = middle - self._mean @ self.weights
        return self._rows @ self.weights + middle

    def _products(self, others: torch.Tensor) -> torch.Tensor:
        """``rows' others`` in float64."""
        total = torch.zeros(1, dtype=torch.float64, device=others.device)
        for mine, other in zip(self._rows.split(ROWS, 1), others.split(ROWS, 1), strict=True):
            total = total + (mine.mT @ other).double()
        return total
