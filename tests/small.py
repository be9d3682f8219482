"""A small network with every kind of layer, images and calibration for it, and episodes."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from amc_gym import Split
from amc_gym.compression.recovery.statistics import grams
from amc_gym.compression.recovery.targets import Targets
from amc_gym.compression.tracing import trace


class PlainStack(nn.Module):
    """A plain network: convolutions with and without norm and bias, one depthwise, a flattening."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 12, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(12)
        self.depthwise = nn.Conv2d(12, 12, 3, stride=2, padding=1, groups=12, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(12)
        self.second = nn.Conv2d(12, 10, (3, 3), padding=1)
        self.third = nn.Conv2d(10, 8, 5, stride=2, padding=2)
        self.hidden = nn.Linear(8 * 2 * 2, 20, bias=False)
        self.hidden_norm = nn.BatchNorm1d(20)
        self.classifier = nn.Linear(20, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.depthwise_norm(self.depthwise(x)))
        x = torch.relu(self.second(x))
        x = torch.relu(self.third(x)).flatten(1)
        return self.classifier(torch.relu(self.hidden_norm(self.hidden(x))))


def lively(model: nn.Module, seed: int = 0) -> nn.Module:
    """Randomise batch norms' statistics and weights, so that mistakes with them become visible."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                assert tensor is not None
                tensor.uniform_(0.5, 1.5, generator=generator)
            for tensor in (module.bias.data, module.running_mean):
                assert tensor is not None
                tensor.uniform_(-0.5, 0.5, generator=generator)
    return model.eval()


def same(left: nn.Module, right: nn.Module) -> bool:
    theirs = right.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in left.state_dict().items())


def images(n: int, seed: int, size: int = 8, classes: int = 5) -> Split:
    generator = torch.Generator().manual_seed(seed)
    return Split(
        torch.randn(n, 3, size, size, generator=generator),
        torch.randint(classes, (n,), generator=generator),
    )


class ExactCalibration:
    """Calibration statistics in float64 from small images; every position is sampled."""

    def __init__(self, model: nn.Module, images: torch.Tensor) -> None:
        self.graph = trace(model, images[:1])
        self.model, self._images = copy.deepcopy(model).double(), images.double()

    @cached_property
    def grams(self) -> dict[str, torch.Tensor]:
        return grams(self.model, self.graph, [self._images], n_images=len(self._images))

    @cached_property
    def targets(self) -> Targets:
        return Targets(self.model, self.graph, [self._images])

    def images(self) -> Iterable[torch.Tensor]:
        return [self._images]

    def finetune(self, network: nn.Module, steps: int) -> nn.Module:
        return network


def play(env: gym.Env[Any, Any], actions: Sequence[float], seed: int = 0) -> list[Any]:
    """Play one whole episode and return what its last step returned."""
    env.reset(seed=seed)
    step: tuple[Any, ...] = ()
    for action in actions:
        step = env.step(np.array([action], dtype=np.float32))
    assert step[2], "the episode is not over"
    return list(step)


def macs_by_torch(model: nn.Module, image: torch.Tensor) -> int:
    """Count the MACs of one image by PyTorch's own counter, which also works on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(image)
    return counter.get_total_flops() // 2


def assert_same(ours: Any, theirs: Any) -> None:
    """Assert that two values are equal in structure, types and every bit."""
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert set(ours) == set(theirs)
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif isinstance(ours, tuple | list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif isinstance(ours, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        if ours.dtype == object:
            assert_same(ours.tolist(), theirs.tolist())
        else:
            assert ours.tobytes() == theirs.tobytes()
    else:
        assert ours == theirs
