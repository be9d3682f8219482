"""Tasks to time: networks at their real sizes, on random images with random weights.

The cost of a pass or a build depends on neither, so no download is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from amc_gym import CompressionTask, Split
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.factory import make_env
from amc_gym.zoo import models


@dataclass(frozen=True)
class Case:
    """An environment to time.

    Attributes:
        title: name in tables.
        task: makes the compression task; or the name of a network with bundled weights.
        images: number of reward images.
    """

    title: str
    task: str | Callable[[], CompressionTask]
    images: int | None = None

    def env(self, **options: Any) -> AMCEnv:
        """Return the environment without wrappers, whose checks are not part of what is timed."""
        task = self.task if isinstance(self.task, str) else self.task()
        return make_env(task, device="cpu", **options)


def synthetic(
    model: nn.Module,
    *,
    size: int,
    classes: int,
    reward: int,
    calibration: int,
    preserve_ratio: float = 0.5,
    channel_multiple: int = 1,
    channels: int = 3,
) -> CompressionTask:
    """Return a task of random images.

    Args:
        model: network to compress.
        size: height and width of the images.
        classes: number of classes.
        reward: number of reward images.
        calibration: number of calibration images.  1 x 1 convolutions with I inputs are re-fitted
            from I / 5 images on (2 samples per input, 10 positions per image).
        preserve_ratio: the task's default.
        channel_multiple: the task's default.
        channels: number of channels of the images.
    """
    draw = torch.Generator().manual_seed(0)
    splits = [
        Split(
            torch.randn(n, channels, size, size, generator=draw),
            torch.randint(classes, (n,), generator=draw),
        )
        for n in (calibration, reward, 8)
    ]
    return CompressionTask(
        model.eval(), *splits, preserve_ratio=preserve_ratio, channel_multiple=channel_multiple
    )


def cifar10(network: str, reward: int = 400) -> CompressionTask:
    """Return a registered network for CIFAR-10, at its default budget."""
    setting = models.variant(network, "cifar10")
    return synthetic(
        seeded(lambda: models.build(network, "cifar10")),
        size=32,
        classes=10,
        reward=reward,
        calibration=210,
        preserve_ratio=setting.preserve_ratio,
        channel_multiple=setting.channel_multiple,
    )


def mobilenet(reward: int = 48, width: float = 1.0, size: int = 224) -> CompressionTask:
    """Return MobileNet for ImageNet, with re-fitting of all layers but the classifier."""
    setting = models.variant("MobileNet", "imagenet")
    return synthetic(
        seeded(lambda: models.MobileNetV1(width=width)),
        size=size,
        classes=1000,
        reward=reward,
        calibration=max(16, round(210 * width)),
        preserve_ratio=setting.preserve_ratio,
        channel_multiple=setting.channel_multiple,
    )


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """Return the network that ``build`` makes, the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


CASES = {
    case.title: case
    for case in (
        Case("MobileNet digits", "MobileNet"),
        Case("Plain20 CIFAR-10", lambda: cifar10("Plain20")),
        Case("ResNet56 CIFAR-10", lambda: cifar10("ResNet56")),
        # Enough batches for two threads: a search has some hundred images and more.
        Case("MobileNet 224", lambda: mobilenet(192)),
    )
}
"""Cases that are compared with the bare forward pass."""
