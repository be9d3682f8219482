"""A tiny network, its images, its task and its plan, which generated calls use."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from small import images, lively
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import amc_gym
from amc_gym import CompressionPlan, CompressionTask, Split
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.factory import make_env

CLASSES = 6


class Tiny(nn.Module):
    """A network of two convolutions, a norm and two linear layers: three units."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.b, self.hidden = nn.Conv2d(8, 8, 3, stride=2), nn.Linear(8, 8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.b(torch.relu(self.norm(self.a(x)))))
        return self.head(torch.relu(self.hidden(x.mean((2, 3)))))


def tiny() -> nn.Module:
    """Make a new network with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return lively(Tiny())


def split(n: int, seed: int) -> Split:
    """Make a split of random images, (n, 3, 8, 8)."""
    return images(n, seed, classes=CLASSES)


@cache
def splits() -> dict[str, Split]:
    """Make the three splits of the task."""
    return {"calibration": split(40, 1), "reward": split(12, 2), "test": split(12, 3)}


@cache
def task() -> CompressionTask:
    """Make the task that all calls share."""
    return CompressionTask(tiny(), **splits())


def make_task() -> CompressionTask:
    """Return the task, as a user's function without arguments does."""
    return task()


@cache
def env() -> AMCEnv:
    """Make an environment of the task."""
    return make_env(task())


@cache
def plan() -> CompressionPlan:
    """Play an episode and return its plan."""
    made = env()
    made.reset()
    done = False
    while not done:
        _, _, done, _, _ = made.step(np.array([0.4]))
    return made.plan


@cache
def small() -> nn.Module:
    """Build the compressed network of the plan."""
    return amc_gym.compress(task(), plan())


@cache
def training() -> Split:
    """Make images to fine-tune on."""
    return split(24, 4)


def ways_to_hand_over(given: Split) -> list[Any]:
    """Return a split in every form that the package accepts."""
    pairs = TensorDataset(given.images, given.labels)
    return [
        given,
        (given.images, given.labels),
        [given.images.numpy(), given.labels.numpy().astype(np.int16)],
        pairs,
        DataLoader(pairs, batch_size=5, shuffle=True),
        list(zip(given.images, given.labels.tolist(), strict=True)),
    ]


def broken_splits(given: Split) -> list[Any]:
    """Return invalid splits, each with one mistake."""
    pixels, labels = given.images, given.labels
    return [
        (pixels, labels.float()),
        (pixels, labels[:-1]),
        (pixels, labels[:, None]),
        (pixels, labels + CLASSES),
        (pixels, labels - CLASSES),
        (pixels[:0], labels[:0]),
        (pixels[:, 0], labels),
        (pixels[:, :2], labels),
        (pixels[:, :, :5, :5], labels),
        (pixels * torch.nan, labels),
        (pixels.double(), labels),
        (pixels.half(), labels),
        (pixels.byte(), labels),
        (pixels.to("meta"), labels),
        (pixels.to_sparse(), labels),
        (pixels.byte(), labels, 0.5, 0.5),
        (pixels.byte(), labels, (0.5,) * 3, (0.0,) * 3),
        (pixels, labels, (0.5,) * 3, (0.5,) * 3),
        TensorDataset(pixels),
        TensorDataset(pixels, labels, labels),
        TensorDataset(pixels[:0], labels[:0]),
        TensorDataset(pixels, labels.float()),
        DataLoader(TensorDataset(pixels[:, 0], labels)),
        [{"image": pixels[0], "label": 1}] * 3,
    ]
