"""Weight pruning in four stages to a fifth of the parameters, as the paper prunes ResNet-50.

    python examples/iterative_weight_pruning.py --out results/stages

Prints density and accuracy after each stage and draws the density of each layer (figures 3 and 4 of
the paper).  A run that was stopped goes on after its last finished stage.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import tyro
from rich.console import Console
from rich.table import Table

import amc_gym
from amc_gym.recipe import Recipe
from amc_gym.stages import Stage, geometric, prune_in_stages
from amc_gym.tasks.datasets import load
from amc_gym.tasks.task import resolve


def main(
    out: Path,
    network: str = "MobileNet",
    dataset: str = "digits",
    weights: str = "bundled",
    data_root: Path | None = None,
    density: float = 0.2,
    stages: int = 4,
    evaluations: int = 150,
    epochs: int = 15,
    shift: int = 1,
    seed: int = 0,
) -> None:
    """Prune a registered network in stages.

    Args:
        out: Folder of stages and picture.
        network: Name of the network.
        dataset: Its data set.
        weights: "bundled" or a path.
        data_root: Folder of data that is read from disk.
        density: Share of the parameters to keep in the end.
        stages: Number of stages; the density falls by the same factor in each.
        evaluations: Plans that each stage's search evaluates.
        epochs: Of fine-tuning after each stage.
        shift: Augmentation: images move by up to this many pixels.
        seed: Of searches and fine-tuning.
    """
    task = resolve(network, dataset=dataset, data_root=data_root, weights=weights)
    recipe = Recipe(
        epochs,
        batch_size=64,
        learning_rate=0.02,
        schedule="cosine",
        weight_decay=5e-4,
        label_smoothing=0.1,
        shift=shift,
        seed=seed,
    )
    finished = prune_in_stages(
        task,
        load(dataset, data_root).train,
        geometric(density, stages),
        evaluations=evaluations,
        recipe=recipe,
        folder=out,
        seed=seed,
    )
    full = amc_gym.accuracy(task.model, task.test)
    table = Table(title=f"{network} on {dataset}: {len(task.test)} test images")
    for column in ("stage", "density %", "as pruned %", "fine-tuned %"):
        table.add_column(column, justify="right")
    table.add_row("0", "100.0", "", f"{full:.1%}"[:-1])
    for number, stage in enumerate(finished, start=1):
        row = (stage.density, stage.before, stage.after)
        table.add_row(str(number), *(f"{100 * value:.1f}" for value in row))
    Console().print(table)
    draw(finished, out / "densities.png")


def draw(stages: list[Stage], path: Path) -> None:
    """Density of each layer after each stage."""
    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    layers = list(stages[0].layers)
    shades = plt.get_cmap("viridis_r")
    for number, stage in enumerate(stages, start=1):
        axes.plot(
            range(1, len(layers) + 1),
            [100 * stage.layers[name] for name in layers],
            marker="o",
            markersize=3,
            color=shades(number / len(stages)),
            label=f"stage {number}: {stage.density:.0%}",
        )
    axes.set_xlabel("layer, in execution order")
    axes.set_ylabel("density, % of weights kept")
    axes.set_ylim(0, 100)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=len(stages), loc="upper center", bbox_to_anchor=(0.5, 1.15))
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    tyro.cli(main)
