"""Statistics of batch norms estimated anew, since a pruned network's activations have others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from amc_gym._utils.nests import Nest, called
from amc_gym.compression.recovery.recovery import Calibration, Recovery, register
from amc_gym.compression.slim import Kept


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
        recalibrate(network, calibration.images())
        return network


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
