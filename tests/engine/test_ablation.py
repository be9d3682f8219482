"""Ablation: its figures equal those of networks that are built with one unit pruned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from amc_gym.engine import ablation
from amc_gym.engine.cache import engines
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions
from amc_gym.zoo.resolving import resolve


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engines.engine(resolve("MobileNet"), EngineOptions(reward_images=20))


def test_errors_are_those_of_networks_that_are_built(engine: Engine) -> None:
    found, full = engine.ablations, list(engine.graph.full)
    assert found.shape == (len(full), len(ablation.SHARES))
    images = engine.task.calibration.batch(slice(ablation.IMAGES))
    with torch.inference_mode():
        expected = engine.task.model(images).double()
        for unit, place in ((0, 0), (5, 2), (len(full) - 1, 3)):
            counts = list(full)
            counts[unit] = max(round(ablation.SHARES[place] * full[unit]), 1)
            actual = engine.pruning.build(counts)(images).double()
            lost = (actual - expected).square().sum() / (expected - expected.mean(0)).square().sum()
            assert found[unit, place] == pytest.approx(float(lost), rel=1e-2, abs=1e-6)


def test_loss_mostly_falls_with_the_channels_that_stay(engine: Engine) -> None:
    falls = np.diff(engine.ablations, axis=1) < 0
    assert falls.mean() > 0.8


def test_outputs_of_changing_shapes_are_refused() -> None:
    class Answers(torch.nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.n = n

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, : self.n]

    class Networks:
        overlap = 1

        def __call__(self, counts) -> torch.nn.Module:
            return Answers(counts[0])

    with pytest.raises(ValueError, match="part="):
        ablation.ablations(Networks(), (4,), [(torch.ones(2, 8), None)])


def test_single_weights_are_refused() -> None:
    options = EngineOptions(reward_images=20, granularity="weight", recovery="none")
    with pytest.raises(ValueError, match="only channels"):
        _ = engines.engine(resolve("MobileNet"), options).ablations
