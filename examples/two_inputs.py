"""Compress a network with two inputs (picture, numbers) and two outputs (class, sizes).

    python examples/two_inputs.py

The loss and the score are functions of (outputs, targets), and the network is called with a
dictionary of inputs as its keyword arguments.
"""

from __future__ import annotations

from pathlib import Path

import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional as F

import amc_gym
from amc_gym.envs.factory import make_env
from amc_gym.training.loop import train


class PictureAndNumbers(nn.Module):
    """A branch for each input, and a head for each output."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
        self.numbers = nn.Sequential(nn.Linear(5, 24), nn.ReLU())
        self.both = nn.Sequential(nn.Linear(56, 48), nn.ReLU())
        self.kind, self.size = nn.Linear(48, 3), nn.Linear(48, 2)

    def forward(self, picture: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        both = self.both(torch.cat([self.picture(picture), self.numbers(numbers)], dim=1))
        return {"kind": self.kind(both), "size": self.size(both)}


def drawn(n: int, seed: int) -> amc_gym.Samples:
    """Return pictures and numbers, and the classes and sizes to predict."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.randn(n, 3, 8, 8, generator=generator)
    picture += torch.randn(n, 3, 1, 1, generator=generator)
    numbers = torch.randn(n, 5, generator=generator)
    bright = picture.mean(dim=(2, 3))
    kind = (bright.sum(1) > 0).long() + (numbers[:, 0] > 1).long()
    size = torch.stack([numbers.sum(1) / 2, bright[:, 0] - numbers[:, 1]], dim=1)
    return amc_gym.Samples(
        {"picture": picture, "numbers": numbers},
        {"kind": kind, "size": size},
    )


def loss(outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Return the mean over the batch of both heads' losses."""
    kind = F.cross_entropy(outputs["kind"], targets["kind"])
    return kind + F.mse_loss(outputs["size"], targets["size"])


def score(outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Average, per sample, whether the class is right and the fraction of sizes within 0.25."""
    right = outputs["kind"].argmax(1) == targets["kind"]
    close = (outputs["size"] - targets["size"]).abs() < 0.25
    return (right.float() + close.float().mean(1)) / 2


def main(epochs: int = 30, evaluations: int = 60, out: Path = Path("two-inputs.onnx")) -> None:
    """Train a network, compress it to 40 % of its MACs, and export it.

    Args:
        epochs: length of the first training; fine-tuning takes a third of it.
        evaluations: plans that the search may try.
        out: the file to write.
    """
    training, calibration, reward, test = (drawn(n, s) for s, n in enumerate((2000, 400, 400, 400)))
    torch.manual_seed(0)
    model, objective = PictureAndNumbers(), amc_gym.objectives.own(loss, score, "right and close")
    recipe = amc_gym.Recipe(epochs, 64, 0.02)
    train(model, training, recipe, objective=objective, progress=False)

    task = amc_gym.CompressionTask(model, calibration, reward, test, objective=objective)
    env = make_env(task, preserve_ratio=0.4, reward="score")
    plan = amc_gym.search(env, evaluations, progress=False)
    assert amc_gym.validate(task, plan).ok
    recipe = amc_gym.Recipe(-(-epochs // 3), 64, 0.01, schedule="cosine", distillation=0.5)
    small = amc_gym.finetune(task, plan, training, recipe, progress=False)
    for name, network in (
        ("original", model),
        ("compressed", amc_gym.compress(task, plan)),
        ("fine-tuned", small),
    ):
        print(f"{name}: {amc_gym.score(network, test, objective):.2%} {objective.name}")
    print(amc_gym.export(small, task, out, overwrite=True))


if __name__ == "__main__":
    tyro.cli(main)
