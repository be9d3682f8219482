"""Compress a forecaster of time series: 1-d convolutions, scored by R2.

python examples/forecast.py
"""

from __future__ import annotations

from pathlib import Path

import torch
import tyro
from torch import Tensor, nn

import amc_gym
from amc_gym.envs.factory import make_env
from amc_gym.training.loop import train

STEPS, AHEAD = 64, 8


class Forecaster(nn.Module):
    """Dilated 1-d convolutions over the past of two series."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.past = nn.Sequential(
            *(nn.Conv1d(2, width, 5, padding=2), nn.BatchNorm1d(width), nn.ReLU()),
            *(nn.Conv1d(width, width, 5, padding=4, dilation=2), nn.BatchNorm1d(width), nn.ReLU()),
            *(nn.Conv1d(width, width, 5, stride=2, padding=2), nn.BatchNorm1d(width), nn.ReLU()),
        )
        self.ahead = nn.Sequential(nn.Linear(width * STEPS // 2, 64), nn.ReLU())
        self.out = nn.Linear(64, AHEAD)

    def forward(self, series: Tensor) -> Tensor:
        return self.out(self.ahead(self.past(series).flatten(1)))


def series(n: int, seed: int) -> amc_gym.Samples:
    """Return the past of two series (n, 2, STEPS) and the future (n, AHEAD) of the first."""
    generator = torch.Generator().manual_seed(seed)
    period = 8 + 24 * torch.rand(n, 2, 1, generator=generator)
    phase = 6.28 * torch.rand(n, 2, 1, generator=generator)
    time = torch.arange(STEPS + AHEAD)
    waves = torch.sin(6.28 * time / period + phase)
    both = torch.stack([waves[:, 0] + 0.5 * waves[:, 1], waves[:, 1]], dim=1)
    both += 0.1 * torch.randn(both.shape, generator=generator)
    return amc_gym.Samples(both[..., :STEPS].contiguous(), both[:, 0, STEPS:].contiguous())


def main(epochs: int = 20, evaluations: int = 60, out: Path = Path("forecast.onnx")) -> None:
    """Train a network, compress it to 40 % of its MACs, and export it.

    Args:
        epochs: length of the first training; fine-tuning takes half of it.
        evaluations: plans that the search may try.
        out: the file to write.
    """
    training, calibration, reward, test = (
        series(n, s) for s, n in enumerate((3000, 400, 400, 400))
    )
    torch.manual_seed(0)
    model, objective = Forecaster(), amc_gym.objectives.regression()
    recipe = amc_gym.Recipe(epochs, 64, 0.002, optimizer="adamw")
    train(model, training, recipe, objective=objective, progress=False)

    task = amc_gym.CompressionTask(model, calibration, reward, test, objective="regression")
    plan = amc_gym.search(make_env(task, preserve_ratio=0.4), evaluations, progress=False)
    assert amc_gym.validate(task, plan).ok
    recipe = amc_gym.Recipe(
        -(-epochs // 2), 64, 0.002, schedule="cosine", optimizer="adamw", distillation=0.5
    )
    small = amc_gym.finetune(task, plan, training, recipe, progress=False)
    for name, network in (
        ("original", model),
        ("compressed", amc_gym.compress(task, plan)),
        ("fine-tuned", small),
    ):
        print(f"{name}: R2 {amc_gym.score(network, test, objective):.3f}")
    print(amc_gym.export(small, task, out, overwrite=True))


if __name__ == "__main__":
    tyro.cli(main)
