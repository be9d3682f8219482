"""The one training loop: bundled weights are made with it, and networks are fine-tuned with it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn, optim
from torch.nn import functional

from amc_gym.compression.evaluator import count_hits
from amc_gym.tasks.augmentation import augment
from amc_gym.tasks.datasets import Split


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run besides the network and the images.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step; what is left over by whole batches sits the epoch out.
        learning_rate: peak of the one-cycle schedule.
        warmup: share of all steps in which the learning rate rises, in (0, 1).
        optimizer: "sgd" (Nesterov) or "adamw".
        momentum: of SGD; AdamW keeps its own betas.
        weight_decay: on kernels only, not on biases and normalisation.
        label_smoothing: in [0, 1).
        shift: images move by up to this many pixels along each axis.
        flip: images are mirrored left to right half of the time.
        precision: "float32", or "bf16" for autocast.
        seed: of order and augmentation, and of the initial weights where this module makes them.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    warmup: float = 0.25
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    shift: int = 0
    flip: bool = False
    precision: Literal["float32", "bf16"] = "float32"
    seed: int = 0


def train(
    model: nn.Module,
    split: Split,
    recipe: Recipe,
    *,
    checkpoint: Path | None = None,
    evaluate_on: Split | None = None,
    progress: bool = True,
) -> nn.Module:
    """Train a model in place, on the device it is on.

    With a checkpoint file, the run's state is written there after each epoch, and a run that finds
    the file goes on from it. On a CPU the interrupted run ends with the same bits as an
    uninterrupted one.

    Args:
        model: maps images ``(N, C, H, W)`` to logits ``(N, classes)``.
        split: the images to fit.
        recipe: how.
        checkpoint: where the state lives; None keeps none.
        evaluate_on: images whose accuracy the progress bar shows after each epoch.
        progress: whether there is a progress bar.

    Returns:
        The same model, channels last, in evaluation mode.

    Raises:
        ValueError: the checkpoint belongs to another recipe or to other images, or the run is too
            short for its warm-up.
    """
    device = next(model.parameters()).device
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    images, labels = split.images.to(device), split.labels.to(device)
    total_steps = recipe.epochs * _steps(len(split), recipe)
    if total_steps * recipe.warmup <= 1:  # where OneCycleLR divides by zero
        raise ValueError(
            f"warm-up must last more than one step, got {total_steps} x {recipe.warmup}: "
            "raise epochs or warmup, or lower batch_size"
        )
    optimizer = _optimizer(model, recipe)
    scheduler = optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=recipe.learning_rate,
        total_steps=total_steps,
        pct_start=recipe.warmup,
        cycle_momentum=False,
    )
    run = _Run(model, optimizer, scheduler, recipe, split.fingerprint)
    done = run.resume(checkpoint) if checkpoint and checkpoint.exists() else 0

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), disable=not progress) as bar:
        task = bar.add_task("training", total=recipe.epochs, completed=done)
        for epoch in range(done, recipe.epochs):
            shown = f"loss {run.epoch(epoch, images, labels):.3f}"
            if checkpoint:
                run.save(checkpoint, epoch + 1)
            if evaluate_on is not None:
                shown += f", accuracy {accuracy(model, evaluate_on):.2%}"
            bar.update(task, completed=epoch + 1, description=shown)
    return model.eval()


def accuracy(
    network: nn.Module, split: Split, metric: str = "top1", batch_size: int = 256
) -> float:
    """Accuracy in [0, 1], in evaluation mode; the network's mode is put back afterwards."""
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    batches = [
        (images.to(device), labels.to(device))
        for images, labels in zip(
            split.images.split(batch_size), split.labels.split(batch_size), strict=True
        )
    ]
    hits = count_hits(network, batches)
    network.train(was_training)
    return hits.accuracy(metric)


@dataclass(frozen=True)
class _Run:
    """What changes while a model is trained, and what it is trained by."""

    model: nn.Module
    optimizer: optim.Optimizer
    scheduler: optim.lr_scheduler.LRScheduler
    recipe: Recipe
    fingerprint: str

    def epoch(self, number: int, images: Tensor, labels: Tensor) -> float:
        """Pass over the images once; the mean loss of the steps."""
        recipe, device = self.recipe, images.device
        steps = _steps(len(images), recipe)
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16")
        total = torch.zeros((), device=device)
        self.model.train()
        # Randomness is a function of seed and epoch: a checkpoint needs no generator state, and
        # the caller's generator stays as it was.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(recipe.seed * 1_000_003 + number)
            order = torch.randperm(len(images)).to(device)
            for chosen in order[: steps * recipe.batch_size].chunk(steps):
                batch = augment(images[chosen], recipe.shift, recipe.flip)
                with autocast:
                    logits = self.model(batch.contiguous(memory_format=torch.channels_last))
                loss = functional.cross_entropy(
                    logits.float(), labels[chosen], label_smoothing=recipe.label_smoothing
                )
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                self.scheduler.step()
                total += loss.detach()
        return total.item() / steps

    def save(self, path: Path, epoch: int) -> None:
        """Write the state after ``epoch`` epochs: all of it or, if interrupted, nothing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "identity": self._identity(),
            "epoch": epoch,
        }
        torch.save(state, partial)
        os.replace(partial, path)

    def resume(self, path: Path) -> int:
        """Load the state and return the number of epochs behind it."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        theirs = state["identity"]
        differing = [key for key, own in self._identity().items() if theirs.get(key) != own]
        if differing:
            raise ValueError(
                f"checkpoint {path} belongs to another run: it differs in {', '.join(differing)}. "
                "Delete it, or name another file"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        return state["epoch"]

    def _identity(self) -> dict[str, Any]:
        """What a resumed run must share with the one that wrote the checkpoint."""
        return {**asdict(self.recipe), "images": self.fingerprint}


def _steps(images: int, recipe: Recipe) -> int:
    """Whole batches in an epoch; one smaller batch where there are too few images for one."""
    return max(1, images // recipe.batch_size)


def _optimizer(model: nn.Module, recipe: Recipe) -> optim.Optimizer:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return optim.AdamW(groups, lr=recipe.learning_rate)
    return optim.SGD(
        groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0
    )
