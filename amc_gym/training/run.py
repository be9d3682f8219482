"""A training run: its state, and the parts that change it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from amc_gym._utils.nests import called, device_of, placed
from amc_gym.compression.evaluation.layout import laid_out
from amc_gym.compression.pruning.cut import Cut
from amc_gym.tasks.data import Data
from amc_gym.tasks.heads import train_mode
from amc_gym.tasks.objectives import Objective
from amc_gym.training import checkpoints
from amc_gym.training.augmentation import augment
from amc_gym.training.gradients import ForwardBackward, Gradients, fastest
from amc_gym.training.optimization import make_average, make_optimizer, make_scheduler
from amc_gym.training.recipe import Recipe
from amc_gym.training.shrinking import Shrinking

logger = logging.getLogger(__name__)

COMPARED = 64
"""Samples on which a network is compared before and after pruning."""

NOTHING = 0.01
"""Relative change of the outputs above which pruning causes a warning."""


@dataclass
class Run:
    """A network in training.

    Attributes:
        model: the network; after pruning, another one.
        teacher: network to distil from, for recipes with distillation.
        recipe: how it is trained.
        objective: defines the loss.
        identity: what a continued run must share with this one.
        layout: memory format of the images.
        steps: gradient steps of an epoch.
        keep_zeros: whether zero weights stay zero.
        cut: what is shrunk and then pruned, for recipes that shrink.
    """

    model: nn.Module
    teacher: nn.Module | None
    recipe: Recipe
    objective: Objective
    identity: dict[str, Any]
    layout: torch.memory_format
    steps: int
    keep_zeros: bool
    cut: Cut | None

    def __post_init__(self) -> None:
        self._begin()
        self._shrinking = None
        if self.cut is not None and self.recipe.shrink:
            total = self.recipe.shrink * self.steps
            self._shrinking = Shrinking(self.model, self.cut, total)

    def _begin(self) -> None:
        """Make optimizer, schedule and average for the current network."""
        self._optimizer = make_optimizer(self.model, self.recipe)
        total = self.recipe.epochs * self.steps
        self._scheduler = make_scheduler(self._optimizer, self.recipe, total)
        self._average: AveragedModel | None = make_average(self.model, self.recipe, total)
        self._masks = masks(self.model) if self.keep_zeros else ()
        # Made with the first batch, because all others have its shape.
        self._gradients: ForwardBackward | None = None

    def epoch(self, number: int, split: Data) -> float:
        """Train for one pass over the samples, and return the mean loss of its steps."""
        recipe, device = self.recipe, next(self.model.parameters()).device
        total = torch.zeros((), device=device)
        train_mode(self.model)
        # Randomness depends on seed and epoch only, so that a checkpoint needs no generator state
        # and the caller's generator stays unchanged.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(recipe.seed * 1_000_003 + number)
            order = torch.randperm(len(split)).to(device_of(split.batch(slice(1))))
            for chosen in order[: self.steps * recipe.batch_size].chunk(self.steps):
                inputs = placed(split.batch(chosen), device)
                if recipe.shift or recipe.flip or recipe.crop < 1:
                    inputs = augment(inputs, recipe.shift, recipe.flip, recipe.crop)
                inputs = laid_out(inputs, self.layout)
                targets = placed(split.targets_of(chosen), device)
                if self._gradients is None:
                    step = Gradients(self.model, self.teacher, recipe, self.objective)
                    self._gradients = fastest(step, inputs, targets)
                total += self._gradients(inputs, targets)
                self._step()
        return total.item() / self.steps

    def _step(self) -> None:
        """Update the weights by their gradients."""
        self._optimizer.step()
        self._scheduler.step()
        if self._shrinking is not None:
            self._shrinking.step(self._scheduler.last_epoch)
        for weight, mask in self._masks:
            weight.data.mul_(mask)
        if self._average is not None:
            self._average.update_parameters(self.model)

    def shrunk(self, epoch: int, split: Data) -> None:
        """Prune what has been shrunk, if ``epoch`` is the last epoch of shrinking.

        The schedule continues.  Momentum and the average of the weights start anew.
        """
        if self._shrinking is None or epoch < self.recipe.shrink:
            return
        before = self.model
        self._cut()
        changed = _difference(before, self.model, split, self.layout)
        if changed is not None and not changed <= NOTHING:
            logger.warning(
                "pruning has changed the network's outputs by %.1f %%, because layer norms "
                "include what is dropped in their statistics, or shrinking was too short; try a "
                "larger shrink",
                100 * changed,
            )

    def _cut(self) -> None:
        assert self.cut is not None
        self.model = self.cut.make(self.model)
        self.model.to(memory_format=self.layout)  # pyright: ignore[reportCallIssue]
        rates, state = self._rates, self._scheduler.state_dict()
        self._begin()
        self._scheduler.load_state_dict(state)
        for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._shrinking = None

    @property
    def _rates(self) -> list[float]:
        return [group["lr"] for group in self._optimizer.param_groups]

    @property
    def result(self) -> nn.Module:
        """Return the network of averaged weights if the recipe averages, otherwise the model."""
        return self.model if self._average is None else self._average.module

    def save(self, path: Path, epoch: int) -> None:
        """Write the state after ``epoch`` epochs completely or, if interrupted, not at all."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "identity": self.identity,
            "epoch": epoch,
        }
        if self._average is not None:
            state["average"] = self._average.state_dict()
        checkpoints.write(path, state)

    def resume(self, path: Path) -> int:
        """Load the state and return the number of finished epochs.

        Raises:
            ValueError: the file is damaged, or belongs to another run.
        """
        state = checkpoints.read(path)
        theirs = state["identity"]
        both = self.identity | theirs
        differing = [k for k in both if theirs.get(k) != self.identity.get(k)]
        if differing:
            raise ValueError(
                f"checkpoint {path} belongs to another run: it differs in {', '.join(differing)}. "
                "Delete it, or name another file"
            )
        try:
            if self._shrinking is not None and state["epoch"] >= self.recipe.shrink:
                self._cut()
            self.model.load_state_dict(state["model"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._scheduler.load_state_dict(state["scheduler"])
            if self._average is not None:
                self._average.load_state_dict(state["average"])
        except Exception as error:  # depends on what is in the file
            raise ValueError(
                f"checkpoint {path} belongs to another network: delete it, or name another file"
            ) from error
        return state["epoch"]


def masks(model: nn.Module) -> Sequence[tuple[Tensor, Tensor]]:
    """Return (weight, mask) of convolutions and linear layers with zeros, which were pruned."""
    modules = (m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    return [(m.weight, m.weight.detach() != 0) for m in modules if (m.weight == 0).any()]


def _difference(
    before: nn.Module, after: nn.Module, split: Data, layout: torch.memory_format
) -> float | None:
    """Return the relative difference of two networks' outputs; None if these are not tensors."""
    device = next(before.parameters()).device
    inputs = laid_out(placed(split.batch(slice(COMPARED)), device), layout)
    with torch.no_grad():
        one, other = (called(network.eval(), inputs) for network in (before, after))
    if not (isinstance(one, Tensor) and isinstance(other, Tensor) and one.is_floating_point()):
        return None
    return float((other - one).norm() / one.norm())
