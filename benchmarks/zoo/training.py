"""Training of one small network, its evaluation as stored, and the choice of its budget."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from agents.plans import execute
from agents.rules import largest
from amc_gym.compression.cost import counted_macs, counted_params
from amc_gym.engine.cache import engines
from amc_gym.envs.factory import make_env
from amc_gym.tasks.task import CompressionTask
from amc_gym.training.loop import train
from amc_gym.training.recipe import Recipe
from amc_gym.training.scores import accuracy
from amc_gym.zoo.datasets import Splits, load, name_of
from amc_gym.zoo.small.families import FAMILIES
from amc_gym.zoo.small.generator import Member, build
from amc_gym.zoo.small.store import Card, digest, kept, versions

RECIPES = {
    "digits": Recipe(
        epochs=50,
        batch_size=64,
        learning_rate=0.1,
        weight_decay=5e-4,
        label_smoothing=0.1,
        shift=1,
    ),
    "glyphs": Recipe(
        epochs=16,
        batch_size=64,
        learning_rate=0.1,
        weight_decay=5e-4,
        label_smoothing=0.1,
        shift=1,
    ),
}
"""Data set -> recipe, of about 700 and 1,000 steps."""

RATIOS = (0.8, 0.7, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2)
"""Default shares of the MACs to choose from; the largest that tells plans apart is used."""

WANTED = 10.0
"""Points of accuracy that the uniform plan should lose within the default budget."""

LEAST = 3.0
"""Points of loss below which plans cannot be told apart: such a network is left out."""

ACCURATE = 0.85
"""Accuracy on reward images below which a training counts as failed."""


@dataclass(frozen=True)
class Budget:
    """A share of the MACs, and the accuracy and loss of the uniform plan within it."""

    preserve_ratio: float
    uniform: float
    loss: float


def trained(member: Member, on_epoch: Callable[[int], None]) -> tuple[nn.Module, Recipe, float]:
    """Train a network; return it with stored precision, its recipe, and the seconds it took."""
    splits = load(member.dataset)
    recipe = recipe_of(member)
    torch.manual_seed(recipe.seed)
    model = build(member.family, member.architecture)
    start = time.perf_counter()
    train(model, splits.train, recipe, progress=False, on_epoch=on_epoch)
    seconds = time.perf_counter() - start
    model.load_state_dict(kept(model))
    return model, recipe, seconds


def recipe_of(member: Member) -> Recipe:
    """Return the data set's recipe with the family's own settings."""
    recipe = RECIPES[name_of(member.dataset)]
    return replace(recipe, **FAMILIES[member.family].recipe, seed=member.seed)


def judged(member: Member, model: nn.Module, recipe: Recipe, seconds: float) -> Card | str:
    """Return the card of a trained network, or the reason why it is left out."""
    splits = load(member.dataset)
    found = {
        name: {"top1": accuracy(model, split), "images": len(split)}
        for name, split in (("reward", splits.reward), ("test", splits.test))
    }
    reached = found["reward"]["top1"]
    if reached < ACCURATE:
        return f"the training came to {reached:.1%} of the reward images only"
    budget = budget_of(model, splits, reached)
    if budget.loss < LEAST:
        return (
            f"the uniform plan loses {budget.loss:.1f} points at {budget.preserve_ratio:.0%} of "
            "the MACs: nothing to tell plans apart by"
        )
    shape = tuple(splits.reward.images.shape[1:])
    fields: dict[str, Any] = {
        **asdict(member),
        "input_shape": list(shape),
        "macs": counted_macs(model, torch.zeros(1, *shape)),
        "parameters": counted_params(model),
        "accuracy": found,
        "preserve_ratio": budget.preserve_ratio,
        "uniform": budget.uniform,
        "uniform_loss": round(budget.loss, 2),
        "fingerprints": {
            name: getattr(splits, name).fingerprint for name in ("train", "reward", "test")
        },
        "recipe": recipe.described(),
        "seconds": round(seconds, 1),
        "sha256": digest(kept(model)),
        "versions": versions(),
    }
    del fields["name"]
    return Card.model_validate(fields)


def budget_of(model: nn.Module, splits: Splits, full: float) -> Budget:
    """Return the largest share at which the uniform plan loses ``WANTED`` points, or the smallest.

    Args:
        model: the trained network.
        splits: of its data set.
        full: its accuracy on reward images.
    """
    task = CompressionTask(model, splits.calibration, splits.reward, splits.test)
    found = None
    for ratio in RATIOS:
        try:
            env = make_env(task, preserve_ratio=ratio)
        except ValueError:  # infeasible
            if found is None:
                raise
            break
        uniform = execute(env, largest(env.budget))[1]["accuracy"]
        found = Budget(ratio, uniform, 100 * (full - uniform))
        if found.loss >= WANTED:
            break
    engines.clear()
    assert found is not None
    return found
