"""Re-estimation of batch norm statistics, because a pruned network's activations differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from amc_gym._utils.nests import Nest, called, first_samples, samples
from amc_gym.compression.evaluation.evaluator import channels_last
from amc_gym.compression.recovery.recovery import Calibration, Recovery, amount_of, register
from amc_gym.compression.slim import Kept

MOST_IMAGES = 1_000_000
"""Most images within one evaluation."""

PHOTOGRAPH = 3 * 96 * 96
"""Values per image above which memory layout determines the speed."""


@register
@dataclass(frozen=True)
class BatchNorm(Recovery):
    """Re-estimate batch norm statistics on the calibration images.

    Attributes:
        images: number of images to use, the first ones, in which classes have their shares;
            ``None``: all.  Each plan costs a pass over them, and few images give stable averages.
    """

    name = "bn"
    summary = "batch norm statistics re-estimated on the calibration images, or on bn:IMAGES"
    order = 40
    sparse = True

    images: int | None = None

    @classmethod
    def parse(cls, amount: str | None) -> BatchNorm:
        """Return the step that "bn" or "bn:IMAGES" means.

        Raises:
            ValueError: IMAGES is not a whole number from 2 to ``MOST_IMAGES``.
        """
        if amount is None:
            return cls()
        return cls(amount_of(cls.name, amount, "images", MOST_IMAGES, least=2))

    def apply(self, network: nn.Module, kept: Kept | None, calibration: Calibration) -> nn.Module:
        """Re-estimate the statistics of ``network`` in place."""
        images = calibration.images()
        chosen = images if self.images is None else first_samples(images, self.images)
        recalibrate(network, map(_fastest, chosen))
        return network

    def __str__(self) -> str:
        return self.name if self.images is None else f"{self.name}:{self.images}"


def _fastest(images: Nest) -> Nest:
    """Return photographs in channels-last layout, in which MobileNet at 224 x 224 is twice as fast.

    Smaller images keep their layout, and with it the last bits of earlier measurements.
    """
    large = isinstance(images, torch.Tensor) and images[0].numel() >= PHOTOGRAPH
    return channels_last(images) if large else images


def recalibrate(network: nn.Module, batches: Iterable[Nest]) -> None:
    """Re-estimate batch norm statistics in place, as averages over batches weighted by their size.

    A last batch of one sample is left out: where a norm reads a single position it has no
    variance, and torch raises an error.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    seen = 0
    with torch.no_grad():
        for inputs in batches:
            count = samples(inputs)
            if seen and count == 1:
                continue
            seen += count
            for norm in norms:
                norm.momentum = count / seen  # cumulative average
            called(network, inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
