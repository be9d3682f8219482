"""Calibration statistics: they are taken in passes that fit into memory."""

from __future__ import annotations

import torch
from torch import nn

from amc_gym import CompressionTask, Split
from amc_gym.engine.analysis import BATCH, BATCH_BYTES, Analysis

MEAN = STD = (0.5, 0.5, 0.5)


def splits(size: int, *numbers: int) -> list[Split]:
    draw = torch.Generator().manual_seed(0)
    return [
        Split(
            torch.randint(256, (n, 3, size, size), generator=draw, dtype=torch.uint8),
            torch.arange(n) % 10,
            MEAN,
            STD,
        )
        for n in numbers
    ]


def test_a_pass_over_large_images_holds_fewer_of_them() -> None:
    small, large = (
        [len(images) for images in Analysis(CompressionTask(network(), *each)).images()]
        for each in (splits(16, 150, 20, 10), splits(224, 150, 20, 10))
    )
    assert small == [BATCH, 150 - BATCH]
    assert sum(large) == 150
    assert max(large) == BATCH_BYTES // (4 * 3 * 224 * 224)


def network() -> nn.Module:
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 10, 3), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten()).eval()
