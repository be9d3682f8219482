"""Milliseconds of a training step on a GPU: ``python -m benchmarks.speed.training``.

It times the networks for CIFAR-10 on random images, in the precision that is fast for them:
launched kernel by kernel, and replayed from a CUDA graph.  Both take turns in one run, and both
include the optimizer.

Meaningful figures need a CUDA device; ``--device cpu`` runs the same code, but nothing is replayed.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor, nn

from amc_gym.training.gradients import ForwardBackward, Gradients, fastest
from amc_gym.training.optimization import make_optimizer
from amc_gym.training.recipe import Recipe
from amc_gym.zoo import models
from benchmarks.machine import described, machine
from benchmarks.reports.tables import markdown
from benchmarks.speed.cases import seeded
from benchmarks.speed.report import report_table
from benchmarks.speed.timing import elapsed

IMAGES = 45_000
"""Images in an epoch of CIFAR-10."""


@dataclass(frozen=True)
class Options:
    """Options of a measurement.

    Attributes:
        device: device to run on; figures are meaningful on "cuda".
        networks: names of registered networks that have a setting for CIFAR-10.
        batch_size: images per step.
        steps: steps that are timed at a time.
        rounds: number of turns of each way; the best counts.
        out: folder for training.md and training.json, if they are to be written.
    """

    device: str = "cuda"
    networks: tuple[str, ...] = ("Plain20", "ResNet56", "MobileNet")
    batch_size: int = 128
    steps: int = 100
    rounds: int = 5
    out: Path | None = None


@dataclass(frozen=True)
class Figure:
    """One network.

    Attributes:
        plain: milliseconds of a step, launched kernel by kernel.
        fast: milliseconds of a step as training runs it.
    """

    network: str
    plain: float
    fast: float

    def cells(self, batch_size: int) -> list[str]:
        """Return a row of a table: milliseconds, speed-up, and seconds of an epoch."""
        epoch = self.fast / 1000 * (IMAGES // batch_size)
        ratio = self.plain / self.fast
        return [
            self.network,
            f"{self.plain:.2f}",
            f"{self.fast:.2f}",
            f"{ratio:.1f}",
            f"{epoch:.2f}",
        ]


COLUMNS = ("network", "step, plain, ms", "replayed, ms", "times as fast", "epoch, s")


def measure(network: str, options: Options) -> Figure:
    """Time both ways of a network's step, in turn."""
    device = torch.device(options.device)
    model = seeded(lambda: models.build(network, "cifar10")).to(device)
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    recipe = Recipe(1, options.batch_size, 0.01, weight_decay=5e-4, precision="auto")
    images = torch.randn(options.batch_size, 3, 32, 32, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (options.batch_size,), device=device)
    # Each way has its own network, because a replayed one keeps its gradients to itself.
    models_of = {"plain": model.train(), "fast": copy.deepcopy(model).train()}
    plain, other = (Gradients(each, None, recipe) for each in models_of.values())
    ways: dict[str, ForwardBackward] = {"plain": plain, "fast": fastest(other, images, labels)}
    best = dict.fromkeys(ways, float("inf"))
    for name, step in ways.items():  # one-time costs of the first steps
        _seconds(step, models_of[name], recipe, images, labels, 3)
    for _ in range(options.rounds):
        for name, step in ways.items():
            seconds = _seconds(step, models_of[name], recipe, images, labels, options.steps)
            best[name] = min(best[name], 1000 * seconds / options.steps)
    return Figure(network, **best)


def _seconds(
    step: ForwardBackward,
    model: nn.Module,
    recipe: Recipe,
    images: Tensor,
    labels: Tensor,
    steps: int,
) -> float:
    optimizer = make_optimizer(model, recipe)

    def run() -> None:
        for _ in range(steps):
            step(images, labels)
            optimizer.step()

    return elapsed(images.device, run)


def main(options: Options) -> None:
    """Time training steps; ``--out`` writes the table."""
    if torch.device(options.device).type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device; --device cpu --steps 1 runs the same code")
    figures = [measure(network, options) for network in options.networks]
    lines = markdown(COLUMNS, [figure.cells(options.batch_size) for figure in figures])
    where = f"Batches of {options.batch_size}; {described(machine())}; torch {torch.__version__}."
    out = options.out and options.out / "training"
    report_table("Training steps", lines, where, out, {"figures": [*map(asdict, figures)]})


if __name__ == "__main__":
    main(tyro.cli(Options))
