"""Recipes of the bundled weights.

``python -m amc_gym.zoo.recipes MobileNet digits`` makes them again.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch

from amc_gym._utils.machine import device_of
from amc_gym._utils.names import choose
from amc_gym.training.loop import train
from amc_gym.training.recipe import Recipe
from amc_gym.training.scores import accuracy
from amc_gym.zoo import bundled, models
from amc_gym.zoo.datasets import load

DIGITS = Recipe(
    epochs=60,
    batch_size=64,
    learning_rate=0.1,
    weight_decay=5e-4,
    label_smoothing=0.1,
    shift=2,
)
"""One or two minutes on one CPU core."""

CIFAR10 = Recipe(
    epochs=80,
    batch_size=128,
    learning_rate=0.2,
    weight_decay=5e-4,
    label_smoothing=0.05,
    shift=4,
    flip=True,
    precision="auto",
)
"""Minutes on a GPU; on one CPU core about 2 to 15 minutes an epoch, depending on the network."""

TAUGHT = replace(CIFAR10, epochs=100, label_smoothing=0.0, distillation=0.9)
"""The outputs of a better network teach a small one more than smoothed labels do."""

IMAGENETTE = Recipe(
    epochs=80,
    batch_size=64,
    learning_rate=0.1,
    weight_decay=5e-4,
    label_smoothing=0.1,
    flip=True,
    crop=0.35,
    precision="auto",
)
"""About a minute an epoch on one CPU core at 96 x 96 and half width."""

IMAGENETTE40 = replace(IMAGENETTE, epochs=40)
"""A minute or so an epoch on one CPU core with AMX, at 96 x 96 and a quarter of the width."""

RECIPES: dict[tuple[str, str], Recipe] = {
    ("MobileNet", "digits"): DIGITS,
    ("MobileNetV2", "digits"): DIGITS,
    ("VGG16", "digits"): DIGITS,
    ("ResNet50", "digits"): DIGITS,
    ("ResNet56", "digits"): DIGITS,
    ("Plain20", "digits"): DIGITS,
    ("ResNet56", "cifar10"): CIFAR10,
    ("Plain20", "cifar10"): TAUGHT,
    ("MobileNet", "cifar10"): TAUGHT,
    ("MobileNet", "imagenette"): IMAGENETTE,
    ("MobileNetV2", "imagenette"): IMAGENETTE,
    ("ResNet50", "imagenette"): IMAGENETTE,
    ("VGG16", "imagenette"): IMAGENETTE,
    ("MobileNet", "imagenette96"): IMAGENETTE,
    ("MobileNetV2", "imagenette96"): IMAGENETTE,
    ("ResNet50", "imagenette96"): IMAGENETTE40,
    ("VGG16", "imagenette96"): IMAGENETTE40,
}
"""(network, data set) -> recipe; those with distillation learn from ``TEACHERS``."""

TEACHERS: dict[tuple[str, str], str] = {
    ("Plain20", "cifar10"): "ResNet56",
    ("MobileNet", "cifar10"): "ResNet56",
}
"""(network, data set) -> network whose bundled weights are the teacher."""


def main(
    network: str,
    dataset: str,
    /,
    *,
    data_root: Path | None = None,
    checkpoint: Path | None = None,
    epochs: int | None = None,
    device: str = "auto",
    out: Path = bundled.DIRECTORY,
) -> None:
    """Train a network by its recipe and write its weights and their card.

    Args:
        network: a network with a recipe, for example MobileNet.
        dataset: a data set with a recipe, for example digits.
        data_root: folder of the data sets that are read from disk.
        checkpoint: file from which an interrupted run continues.
        epochs: replaces the recipe's number, to save time.
        device: where to train; "auto": a GPU if there is one.
        out: folder for the weights and the card.
    """
    choose("recipe", f"{network} {dataset}", map(" ".join, RECIPES))
    recipe = RECIPES[network, dataset]
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    splits = load(dataset, data_root)
    torch.manual_seed(recipe.seed)
    model = models.build(network, dataset).to(device_of(device))
    teacher, origin = None, ""
    if recipe.distillation:
        name = TEACHERS[network, dataset]
        teacher = bundled.load(name, dataset)
        origin = bundled.find(name, dataset)["sha256"]

    start = time.perf_counter()
    train(model, splits.train, recipe, teacher=teacher, checkpoint=checkpoint, origin=origin)
    seconds = time.perf_counter() - start

    model.cpu()
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
            "recipe": recipe.described(),
        },
        directory=out,
    )
    for name, figures in bundled.find(network, dataset, out)["accuracy"].items():
        print(f"{name}: {figures['top1']:.2%} of {figures['images']} images")
    print(f"{path} after {seconds:.0f} s")


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
