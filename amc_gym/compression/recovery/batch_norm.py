"""Statistics of batch norms estimated anew, since a pruned network's activations have others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from amc_gym._utils.nests import Nest, called
from amc_gym.compression.evaluation.evaluator import channels_last
from amc_gym.compression.recovery.recovery import Calibration, Recovery, register
from amc_gym.compression.slim import Kept

PHOTOGRAPH = 3 * 96 * 96
"""Numbers of an image from which on its layout in memory decides."""


@register
@dataclass(frozen=True)
class BatchNorm(Recovery):
    """Estimate batch norm statistics anew on the calibration images."""

    name = "bn"
    summary = "batch norm statistics estimated anew on the calibration images"
    order = 40
    sparse = True

    def apply(self, network: nn.Module, kept: Kept | None, calibration: Calibration) -> nn.Module:
        """Recalibrate ``network`` in place."""
        recalibrate(network, map(_fastest, calibration.images()))
        return network


def _fastest(images: Nest) -> Nest:
    """Lay photographs out with channels last: a pass of MobileNet at 224 x 224 takes half as long.

    Smaller images stay as they are, and so do the last bits of what was measured with them.
    """
    large = isinstance(images, torch.Tensor) and images[0].numel() >= PHOTOGRAPH
    return channels_last(images) if large else images


def recalibrate(network: nn.Module, batches: Iterable[Nest]) -> None:
    """Estimate batch norm statistics anew, in place: the averages over all batches."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
        norm.train()
    with torch.no_grad():
        for inputs in batches:
            called(network, inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
