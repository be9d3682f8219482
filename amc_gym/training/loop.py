"""The training loop, with which bundled weights are trained and networks are fine-tuned."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.nests import placed
from amc_gym._utils.progress import counter
from amc_gym.compression.evaluation.folding import fold_norms
from amc_gym.compression.evaluation.layout import fastest_layout
from amc_gym.compression.graph import GraphError
from amc_gym.compression.pruning.cut import Cut
from amc_gym.compression.tracing import trace
from amc_gym.tasks.data import Data
from amc_gym.tasks.objectives import Objective, objective_of
from amc_gym.tasks.split import Split
from amc_gym.training.recipe import Recipe
from amc_gym.training.run import Run
from amc_gym.training.scores import CLASSES, score

RESIDENT = 2**30
"""Most bytes of images that are moved to the device at once; larger sets move batch by batch."""


class DivergedError(ValueError):
    """Raised when the loss of a training run becomes NaN or infinite; the network is unusable."""


@recorded
def train(
    model: nn.Module,
    split: Data,
    recipe: Recipe,
    *,
    objective: Any = CLASSES,
    teacher: nn.Module | None = None,
    checkpoint: Path | None = None,
    origin: str = "",
    evaluate_on: Data | None = None,
    keep_zeros: bool = False,
    cut: Cut | None = None,
    progress: bool = True,
    on_epoch: Callable[[int], None] | None = None,
) -> nn.Module:
    """Train all weights of a model, including frozen ones, in place, on its device.

    With a checkpoint file, the run's state is written there after each epoch, and a run that finds
    the file continues from it, so that a kill loses at most one epoch.  On a CPU an interrupted run
    ends with the same bits as an uninterrupted one.

    Args:
        model: maps images ``(N, C, H, W)`` to logits ``(N, classes)``, or whatever the objective
            expects.
        split: the images or other samples to train on.
        recipe: how to train.
        objective: as in a task; defines the loss.
        teacher: the network to distil from, for recipes with distillation; not changed.
        checkpoint: file of the run's state; None keeps none.
        origin: where the model comes from; a checkpoint only fits a run of equal origin.
        evaluate_on: samples whose score the progress bar shows after each epoch.
        keep_zeros: whether zero weights of convolutions and linear layers, which were pruned, stay
            zero.
        cut: what is shrunk and then pruned, for recipes that shrink.
        progress: whether to show a progress bar.
        on_epoch: called with the number of finished epochs after each, and when a run continues.

    Returns:
        The same model in evaluation mode, channels last if that is its fastest layout; another
        model after pruning, or if weights are averaged.

    Raises:
        DivergedError: the loss is not finite.
        ValueError: the checkpoint is damaged or belongs to another run, the run is too short for
            its warm-up, images would be shifted out of sight, the recipe distils without a teacher
            or shrinks without a ``cut``, or it asks for something the objective lacks.
    """
    objective = objective_of(objective)
    _check_recipe(recipe, objective, split, with_teacher=teacher is not None)
    if recipe.shrink and cut is None:
        raise ValueError(
            f"shrink={recipe.shrink} needs a plan that says what to shrink: set shrink=0, or call "
            "amc_gym.finetune with a plan"
        )
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
    run = _prepared(model, split, recipe, objective, teacher, origin, cut, keep_zeros=keep_zeros)
    on_device = split.to(next(model.parameters()).device) if split.nbytes <= RESIDENT else split
    done = run.resume(checkpoint) if checkpoint and checkpoint.exists() else 0

    with counter(shown=progress) as bar:
        task = bar.add_task("training", total=recipe.epochs, completed=done)
        if on_epoch is not None and done:
            on_epoch(done)
        for epoch in range(done, recipe.epochs):
            loss = run.epoch(epoch, on_device)
            if not math.isfinite(loss):  # before it is saved in a checkpoint
                raise DivergedError(
                    f"training has diverged in epoch {epoch + 1}, where its loss is {loss}: lower "
                    f"learning_rate={recipe.learning_rate}, or raise temperature or batch_size"
                )
            run.shrunk(epoch + 1, split)
            shown = f"loss {loss:.3f}"
            if checkpoint:
                run.save(checkpoint, epoch + 1)
            if evaluate_on is not None:
                found = score(run.result, evaluate_on, objective)
                shown += f", {'accuracy' if objective.classifies else 'score'} {found:.2%}"
            bar.update(task, completed=epoch + 1, description=shown)
            if progress and not bar.console.is_terminal:  # a log file, where no bar is shown
                bar.console.print(f"epoch {epoch + 1} of {recipe.epochs}: {shown}")
            if on_epoch is not None:
                on_epoch(epoch + 1)
    return run.result.eval()


def _check_recipe(recipe: Recipe, objective: Objective, split: Data, *, with_teacher: bool) -> None:
    """Refuse a recipe that asks for something the objective or the samples lack.

    Raises:
        ValueError: as ``train``.
    """
    if recipe.distillation and not objective.loss.distils:
        raise ValueError(
            f"distillation={recipe.distillation} is not possible with the objective "
            f"{objective.name!r}, which cannot learn from a teacher: set distillation=0"
        )
    if recipe.distillation and not with_teacher:
        raise ValueError("distillation needs a teacher: pass the network before its compression")
    if isinstance(split, Split) and not split.labelled and recipe.distillation < 1:
        raise ValueError(
            f"distillation={recipe.distillation} needs labels, and the training images have none: "
            "set distillation=1.0 to learn from the teacher alone, or pass labels"
        )
    objective.loss.smoothed(recipe.label_smoothing)
    if not isinstance(split, Split) or not objective.classifies:
        if recipe.shift or recipe.flip or recipe.crop < 1:
            raise ValueError(
                "shift, flip and crop are only for images that are classified, whose labels they "
                "do not change: set them to 0, False and 1"
            )
        return
    height, width = split.images.shape[2:]
    if recipe.shift >= min(height, width):
        raise ValueError(
            f"shift must be smaller than the images of {height} x {width} pixels, not "
            f"{recipe.shift}"
        )


def _prepared(
    model: nn.Module,
    split: Data,
    recipe: Recipe,
    objective: Objective,
    teacher: nn.Module | None,
    origin: str,
    cut: Cut | None,
    *,
    keep_zeros: bool,
) -> Run:
    """Return a run before its first step, with the networks in their fastest memory layout."""
    device = next(model.parameters()).device
    example = placed(split.batch(slice(1)), device)
    layout = fastest_layout(model, example)
    guide = None
    if teacher is not None and recipe.distillation:
        guide = _teacher(teacher, split).to(device)
        if fastest_layout(guide, example) != layout:
            layout = torch.contiguous_format
        guide.to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    model.to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    return Run(
        model,
        guide,
        recipe,
        objective,
        {**recipe.described(), "images": split.fingerprint, "origin": origin},
        layout,
        steps=max(1, len(split) // recipe.batch_size),  # few images make one smaller batch
        keep_zeros=keep_zeros,
        cut=cut,
    )


def finetune_steps(
    network: nn.Module, split: Data, steps: int, objective: Any = CLASSES
) -> nn.Module:
    """Train for a few steps, in place, by SGD from a learning rate of 0.01 down a cosine.

    Args:
        network: a compressed network.
        split: samples to train on; up to ``steps`` batches of 64 are used, in several epochs if
            there are fewer.
        steps: gradient steps; rounded up to whole epochs if there is more than one.
        objective: as in a task.

    Returns:
        The same network, in evaluation mode; unchanged if training diverges.
    """
    before = copy.deepcopy(network.state_dict())
    batch = min(64, len(split))
    epochs = -(-steps // (len(split) // batch))
    images = batch * -(-steps // epochs)
    recipe = Recipe(epochs, batch, learning_rate=0.01, schedule="cosine", weight_decay=5e-4)
    try:
        return train(
            network,
            split.first(images),
            recipe,
            objective=objective,
            keep_zeros=True,
            progress=False,
        )
    except DivergedError:
        network.load_state_dict(before)
        return network.eval()


def _teacher(network: nn.Module, split: Data) -> nn.Module:
    """Return a copy for inference only, with norms folded, which halves the time of a pass."""
    network = copy.deepcopy(network).cpu().eval()
    example = placed(split.batch(slice(1)), torch.device("cpu"))
    with contextlib.suppress(GraphError):  # a network that cannot be traced teaches unfolded
        network, _ = fold_norms(network, trace(network, example))
    return network
