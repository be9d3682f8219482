"""The one training loop: bundled weights are made with it, and networks are fine-tuned with it."""

from __future__ import annotations

import contextlib
import copy
import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn, optim

from amc_gym._utils.arguments import described, whole
from amc_gym._utils.files import replacing
from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.names import choose
from amc_gym._utils.nests import device_of, placed
from amc_gym._utils.progress import counter
from amc_gym.compression.evaluation.folding import fold_norms
from amc_gym.compression.evaluation.hits import METRICS
from amc_gym.compression.evaluation.layout import fastest_layout, laid_out
from amc_gym.compression.evaluation.scoring import scored
from amc_gym.compression.graph import GraphError
from amc_gym.compression.tracing import trace
from amc_gym.tasks.admission import classes_of
from amc_gym.tasks.gathering import Data, DataLike, data_of
from amc_gym.tasks.heads import train_mode
from amc_gym.tasks.objectives import Objective, classification, objective_of
from amc_gym.tasks.split import Split
from amc_gym.training.augmentation import augment
from amc_gym.training.gradients import ForwardBackward, Gradients, fastest
from amc_gym.training.recipe import Recipe, make_optimizer, make_scheduler

RESIDENT = 2**30
"""Bytes of images that move to the device once; more of them move batch by batch."""


CLASSES = "classification"
"""The objective where none is named."""


class DivergedError(ValueError):
    """A training run whose loss became NaN or infinite; the network is worth nothing."""


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
    progress: bool = True,
    on_epoch: Callable[[int], None] | None = None,
) -> nn.Module:
    """Train all weights of a model, frozen ones too, in place, on the device it is on.

    With a checkpoint file, the run's state is written there after each epoch, and a run that finds
    the file goes on from it: a kill loses one epoch at most. On a CPU the interrupted run ends with
    the same bits as an uninterrupted one.

    Args:
        model: maps images ``(N, C, H, W)`` to logits ``(N, classes)``, or whatever the objective
            is about.
        split: the images, or other samples, to fit.
        recipe: how.
        objective: as of a task; says the loss.
        teacher: the network to distil from, for recipes with distillation; not changed.
        checkpoint: where the state lives; None keeps none.
        origin: where the model comes from; a checkpoint only fits a run of equal origin.
        evaluate_on: samples whose score the progress bar shows after each epoch.
        keep_zeros: weights of convolutions and linear layers that are zero, pruned ones, stay so.
        progress: whether there is a progress bar.
        on_epoch: told of the number of finished epochs after each, and where a run goes on.

    Returns:
        The same model, channels last where it runs so, in evaluation mode.

    Raises:
        DivergedError: the loss is no finite number any more.
        ValueError: the checkpoint is damaged or belongs to another run, the run is too short for
            its warm-up, images would be shifted out of sight, the recipe distils and there is no
            teacher, or it asks for what the objective does not have.
    """
    objective = objective_of(objective)
    _check_recipe(recipe, objective, split, taught=teacher is not None)
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
    run = _prepared(model, split, recipe, objective, teacher, origin, keep_zeros=keep_zeros)
    on_device = split.to(next(model.parameters()).device) if split.nbytes <= RESIDENT else split
    done = run.resume(checkpoint) if checkpoint and checkpoint.exists() else 0

    with counter(shown=progress) as bar:
        task = bar.add_task("training", total=recipe.epochs, completed=done)
        if on_epoch is not None and done:
            on_epoch(done)
        for epoch in range(done, recipe.epochs):
            loss = run.epoch(epoch, on_device)
            if not math.isfinite(loss):  # before a checkpoint keeps it
                raise DivergedError(
                    f"training has diverged in epoch {epoch + 1}, its loss is {loss}: lower "
                    f"learning_rate={recipe.learning_rate}, or raise temperature or batch_size"
                )
            shown = f"loss {loss:.3f}"
            if checkpoint:
                run.save(checkpoint, epoch + 1)
            if evaluate_on is not None:
                found = score(model, evaluate_on, objective)
                shown += f", {'accuracy' if objective.classifies else 'score'} {found:.2%}"
            bar.update(task, completed=epoch + 1, description=shown)
            if progress and not bar.console.is_terminal:  # a log, where no bar moves
                bar.console.print(f"epoch {epoch + 1} of {recipe.epochs}: {shown}")
            if on_epoch is not None:
                on_epoch(epoch + 1)
    return model.eval()


def _check_recipe(recipe: Recipe, objective: Objective, split: Data, *, taught: bool) -> None:
    """Refuse what the objective or the samples do not have.

    Raises:
        ValueError: as ``train``.
    """
    if recipe.distillation and not objective.loss.distils:
        raise ValueError(
            f"distillation={recipe.distillation}: nothing can be learnt from a teacher's answers "
            f"under the objective {objective.name!r}; leave distillation at 0"
        )
    if recipe.distillation and not taught:
        raise ValueError("distillation needs a teacher: the network before its compression")
    if isinstance(split, Split) and not split.labelled and recipe.distillation < 1:
        raise ValueError(
            f"distillation={recipe.distillation}: the training images have no labels, so that a "
            "teacher's answers alone can teach; set distillation=1.0, or pass labels"
        )
    objective.loss.smoothed(recipe.label_smoothing)
    if not isinstance(split, Split) or not objective.classifies:
        if recipe.shift or recipe.flip or recipe.crop < 1:
            raise ValueError(
                "shift, flip and crop are for images that are classified, whose labels stay what "
                "they are: leave them at 0, False and 1"
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
    *,
    keep_zeros: bool,
) -> _Run:
    """The run of a training before its first step; networks are laid out as they run fastest."""
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
    optimizer = make_optimizer(model, recipe)
    return _Run(
        model,
        guide,
        optimizer,
        make_scheduler(optimizer, recipe, recipe.epochs * _steps(len(split), recipe)),
        recipe,
        objective,
        {**recipe.described(), "images": split.fingerprint, "origin": origin},
        layout,
        _masks(model) if keep_zeros else (),
    )


def finetune_steps(
    network: nn.Module, split: Data, steps: int, objective: Any = CLASSES
) -> nn.Module:
    """Return a few steps of fine-tuning, in place: SGD from a learning rate of 0.01 down a cosine.

    Args:
        network: a compressed network.
        split: images to fit; up to ``steps`` batches of 64 of them are used, in several epochs if
            there are fewer.
        steps: gradient steps; rounded up to whole epochs where more than one is needed.
        objective: as of a task.

    Returns:
        The same network, in evaluation mode; as it was, if training diverges.
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


def finished_epochs(checkpoint: Path) -> int:
    """How many epochs a run has behind it whose state is in a file; 0 if there is none.

    Raises:
        ValueError: the checkpoint is damaged.
    """
    return _read(checkpoint)["epoch"] if checkpoint.exists() else 0


def score(
    network: nn.Module, split: DataLike, objective: Any = CLASSES, batch_size: int = 256
) -> float:
    """Score in [0, 1], in evaluation mode; the network's mode is put back afterwards.

    Args:
        network: what the objective is about; one that classifies maps images ``(N, C, H, W)`` to
            logits ``(N, classes)``.
        split: inputs and targets, as the splits of a task.
        objective: as of a task.
        batch_size: samples at a time.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: an argument is unknown or out of range, the network does not classify the
            images, as ``classes_of`` says, or the score is none.
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"network must be a torch.nn.Module, not {described(network)}")
    objective = objective_of(objective)
    split = data_of("split", split, objective)
    batch_size = whole("batch_size", batch_size, at_least=1)
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        if objective.classifies:
            classes_of(network, placed(split.batch(slice(2)), device), "network")
        batches = (
            (placed(inputs, device), placed(targets, device))
            for inputs, targets in split.batches(batch_size)
        )
        return scored(network, batches, objective.score)
    finally:
        for module, training in modes:
            module.training = training


def accuracy(
    network: nn.Module, split: DataLike, metric: str = "top1", batch_size: int = 256
) -> float:
    """Accuracy in [0, 1] of a network that classifies: ``score`` by a metric.

    Args:
        network: maps images ``(N, C, H, W)`` to logits ``(N, classes)``.
        split: labelled images, as the splits of a task.
        metric: "top1" or "top5".
        batch_size: images at a time.

    Raises:
        TypeError, ValueError: as ``score``.
    """
    top = METRICS[choose("metric", metric, METRICS)]
    return score(network, split, classification(top), batch_size)


@dataclass
class _Run:
    """State of a training run, and the parts that change it."""

    model: nn.Module
    teacher: nn.Module | None
    optimizer: optim.Optimizer
    scheduler: optim.lr_scheduler.LRScheduler
    recipe: Recipe
    objective: Objective
    identity: dict[str, Any]  # what a resumed run must share with the one before it
    layout: torch.memory_format  # of the images
    masks: Sequence[tuple[torch.Tensor, torch.Tensor]] = ()  # weights, and where they may not be 0
    step: ForwardBackward | None = None  # made with the first batch, whose shape the others have

    def epoch(self, number: int, split: Data) -> float:
        """Pass over the samples once; the mean loss of the steps."""
        recipe, device = self.recipe, next(self.model.parameters()).device
        steps = _steps(len(split), recipe)
        total = torch.zeros((), device=device)
        train_mode(self.model)
        # Randomness is a function of seed and epoch: a checkpoint needs no generator state, and
        # the caller's generator stays as it was.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(recipe.seed * 1_000_003 + number)
            order = torch.randperm(len(split)).to(device_of(split.batch(slice(1))))
            for chosen in order[: steps * recipe.batch_size].chunk(steps):
                inputs = placed(split.batch(chosen), device)
                if recipe.shift or recipe.flip or recipe.crop < 1:
                    inputs = augment(inputs, recipe.shift, recipe.flip, recipe.crop)
                inputs = laid_out(inputs, self.layout)
                targets = placed(split.targets_of(chosen), device)
                if self.step is None:
                    step = Gradients(self.model, self.teacher, recipe, self.objective)
                    self.step = fastest(step, inputs, targets)
                total += self.step(inputs, targets)
                self.optimizer.step()
                self.scheduler.step()
                for weight, mask in self.masks:
                    weight.data.mul_(mask)
        return total.item() / steps

    def save(self, path: Path, epoch: int) -> None:
        """Write the state after ``epoch`` epochs: all of it or, if interrupted, nothing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "identity": self.identity,
            "epoch": epoch,
        }
        with replacing(path) as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:  # torch's own, after what the system has said
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise

    def resume(self, path: Path) -> int:
        """Load the state and return the number of epochs behind it."""
        state = _read(path)
        theirs = state["identity"]
        differing = [key for key, own in self.identity.items() if theirs.get(key) != own]
        if differing:
            raise ValueError(
                f"checkpoint {path} belongs to another run: it differs in {', '.join(differing)}. "
                "Delete it, or name another file"
            )
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scheduler.load_state_dict(state["scheduler"])
        except Exception as error:  # as what is in the file has it
            raise ValueError(
                f"checkpoint {path} belongs to another network. Delete it, or name another file"
            ) from error
        return state["epoch"]


def _read(path: Path) -> dict[str, Any]:
    """Return a run's state.

    Raises:
        ValueError: the checkpoint is damaged.
    """
    content = io.BytesIO(path.read_bytes())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a pickle protocol that damage made
            state = torch.load(content, map_location="cpu", weights_only=True)
        if not isinstance(state["identity"], dict) or not state["epoch"] >= 0:
            raise ValueError
    except Exception as error:  # torch.load raises whatever it runs into
        raise ValueError(
            f"checkpoint {path} is damaged. Delete it, or name another file"
        ) from error
    return state


def _teacher(network: nn.Module, split: Data) -> nn.Module:
    """Return a copy that answers only: its norms are folded, which halves its passes."""
    network = copy.deepcopy(network).cpu().eval()
    example = placed(split.batch(slice(1)), torch.device("cpu"))
    with contextlib.suppress(GraphError):  # what cannot be traced teaches as it is
        network, _ = fold_norms(network, trace(network, example))
    return network


def _steps(images: int, recipe: Recipe) -> int:
    """Whole batches in an epoch; one smaller batch where there are too few images for one."""
    return max(1, images // recipe.batch_size)


def _masks(model: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weights of convolutions and linear layers that hold zeros: those were pruned, and stay so."""
    modules = (m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    return [(m.weight, m.weight.detach() != 0) for m in modules if (m.weight == 0).any()]
