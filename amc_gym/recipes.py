"""Recipes of the bundled weights.

``python -m amc_gym.recipes MobileNet digits`` makes them again.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path

import torch

from amc_gym.names import choose
from amc_gym.recipe import Recipe
from amc_gym.tasks import bundled, models
from amc_gym.tasks.datasets import load
from amc_gym.training import accuracy, train

DIGITS = Recipe(
    epochs=60,
    batch_size=64,
    learning_rate=0.1,
    weight_decay=5e-4,
    label_smoothing=0.1,
    shift=2,
)
"""A minute or two on one processor core."""

CIFAR10 = Recipe(
    epochs=60,
    batch_size=128,
    learning_rate=0.2,
    weight_decay=5e-4,
    label_smoothing=0.05,
    shift=4,
    flip=True,
    precision="auto",
)
"""Minutes on a GPU; on one processor core some 4 to 15 minutes an epoch, by network."""

AGAIN = replace(
    CIFAR10,
    epochs=20,
    learning_rate=0.08,
    schedule="cosine",
    weight_decay=3e-4,
    label_smoothing=0.0,
)
"""A second cycle, with less that holds a small network back: Plain-20 underfits."""

TAUGHT = replace(AGAIN, learning_rate=0.1, weight_decay=5e-4, distillation=0.9)
"""A last cycle that learns a better network's answers."""

RECIPES: dict[tuple[str, str], tuple[Recipe, ...]] = {
    ("MobileNet", "digits"): (DIGITS,),
    ("MobileNetV2", "digits"): (DIGITS,),
    ("VGG16", "digits"): (DIGITS,),
    ("ResNet50", "digits"): (DIGITS,),
    ("ResNet56", "digits"): (DIGITS,),
    ("Plain20", "digits"): (DIGITS,),
    ("Plain20", "cifar10"): (replace(CIFAR10, epochs=46), AGAIN, TAUGHT),
    ("ResNet56", "cifar10"): (replace(CIFAR10, epochs=40),),
    ("MobileNet", "cifar10"): (replace(CIFAR10, epochs=30), TAUGHT),
}
"""(network, data set) -> one recipe after the other.

The epochs of the networks for CIFAR-10 are what two processor cores allowed; with a GPU, give 60.
Recipes with distillation are taught by ``TEACHERS``.
The bundled Plain-20 was trained on processors that other jobs shared: its first 36 epochs followed
the schedule of 60, and the other 10 that of 46.
"""

TEACHERS: dict[tuple[str, str], str] = {
    ("Plain20", "cifar10"): "ResNet56",
    ("MobileNet", "cifar10"): "ResNet56",
}
"""(network, data set) -> whose bundled weights teach it."""


def main(
    network: str,
    dataset: str,
    /,
    *,
    data_root: Path | None = None,
    checkpoint: Path | None = None,
    last: bool = False,
    out: Path = bundled.DIRECTORY,
) -> None:
    """Train a network by its recipe and write its weights and their card.

    Args:
        network: a network with a recipe, for example MobileNet.
        dataset: a data set with a recipe, for example digits.
        data_root: folder of the data sets that are read from disk.
        checkpoint: file that lets an interrupted run go on where it stopped; later recipes have
            files of their own beside it.
        last: only the last recipe, on from the bundled weights: for a cycle that was added since.
        out: folder for the weights and the card.
    """
    choose("recipe", f"{network} {dataset}", map(" ".join, RECIPES))
    stages = RECIPES[network, dataset]
    splits = load(dataset, data_root)
    torch.manual_seed(stages[0].seed)
    model, start_from = models.build(network, dataset), ""
    if last:
        model = bundled.load(network, dataset)
        start_from = bundled.find(network, dataset)["sha256"]

    start = time.perf_counter()
    cycles = list(enumerate(stages))
    for number, recipe in cycles[-1:] if last else cycles:
        # A stage that is finished is read from its checkpoint, and the next one goes on from there.
        place = checkpoint
        if checkpoint is not None and number:
            place = checkpoint.with_name(f"{checkpoint.stem}-{number + 1}{checkpoint.suffix}")
        teacher, origin = None, start_from
        if recipe.distillation:
            name = TEACHERS[network, dataset]
            teacher = bundled.load(name, dataset)
            origin += bundled.find(name, dataset)["sha256"]
        train(model, splits.train, recipe, teacher=teacher, checkpoint=place, origin=origin)
    seconds = time.perf_counter() - start

    model.load_state_dict(bundled.stored(model))
    path = bundled.save(
        model,
        network,
        dataset,
        input_shape=tuple(splits.train.images.shape[1:]),
        fields={
            "accuracy": {
                name: {"top1": accuracy(model, split), "images": len(split)}
                for name, split in (("reward", splits.reward), ("test", splits.test))
            },
            "fingerprints": {
                name: getattr(splits, name).fingerprint for name in ("train", "reward", "test")
            },
            "recipe": [asdict(recipe) for recipe in stages],
        },
        directory=out,
    )
    for name, figures in bundled.find(network, dataset, out)["accuracy"].items():
        print(f"{name}: {figures['top1']:.2%} of {figures['images']} images")
    print(f"{path} after {seconds:.0f} s")


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
