"""Recipes: everything that determines a training run besides the network and the images.

Declared in a file of their own, so that a help text needs no PyTorch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal, get_args

from amc_gym._utils.arguments import real, truth, whole
from amc_gym._utils.names import choose

Schedule = Literal["one-cycle", "cosine"]
Optimizer = Literal["sgd", "adamw"]
Precision = Literal["float32", "bf16", "auto"]


@dataclass(frozen=True)
class Recipe:
    """All settings of a training run besides the network and the images.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step; the remainder of an epoch is left out.
        learning_rate: peak of the schedule.
        schedule: "one-cycle" (Smith and Topin, 2018) rises to the peak and falls to almost 0;
            "cosine" falls from the peak to 0, for networks that are trained already.
        warmup: share of all steps in which one-cycle rises, in (0, 1).
        optimizer: "sgd" (Nesterov) or "adamw".
        momentum: of SGD; AdamW keeps its own betas.
        weight_decay: on kernels only, not on biases and normalisation.
        label_smoothing: in [0, 1).
        distillation: share of the loss that compares outputs with a teacher's softened outputs
            instead of the labels (Hinton et al., 2015), in [0, 1].
        temperature: by which outputs are softened in distillation, above 0.
        shift: images are shifted by up to this many pixels along each axis.
        crop: smallest share of an image's area that is cropped at random and resized to full size
            (Szegedy et al., 2015), in (0, 1]; 1 crops nothing.
        flip: whether images are mirrored left to right half of the time.
        shrink: number of epochs before pruning in which the original network is trained while a
            growing L2 penalty shrinks what the plan drops (GReg-1, Wang et al., 2021); 0 prunes
            first.  Recovery is then left out, because pruning changes nothing.
        averaging: share of all steps over which weights are averaged, in [0, 1): exponentially,
            with a decay of 1 - 1 / (share x steps); 0 keeps the last weights.
        precision: "float32", "bf16" for autocast, or "auto": bf16 where it is fast.
        seed: of order and augmentation, and of initial weights where this package draws them;
            from 0 to 2^32 - 1.

    Raises:
        TypeError: a field has a wrong type.
        ValueError: a name is unknown, or a number is out of range.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    schedule: Schedule = "one-cycle"
    warmup: float = 0.25
    optimizer: Optimizer = "sgd"
    momentum: float = 0.9
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    distillation: float = 0.0
    temperature: float = 4.0
    shift: int = 0
    flip: bool = False
    crop: float = 1.0
    precision: Precision = "float32"
    seed: int = 0
    shrink: int = 0
    averaging: float = 0.0

    def __post_init__(self) -> None:
        put = partial(object.__setattr__, self)
        for name, kind in (("schedule", Schedule), ("optimizer", Optimizer)):
            put(name, choose(name, getattr(self, name), get_args(kind)))
        put("precision", choose("precision", self.precision, get_args(Precision)))
        for name, bounds in WHOLE.items():
            put(name, whole(name, getattr(self, name), **bounds))
        for name, bounds in REAL.items():
            put(name, real(name, getattr(self, name), **bounds))
        put("flip", truth("flip", self.flip))
        if self.shrink >= self.epochs:
            raise ValueError(
                f"shrink={self.shrink} must be less than epochs={self.epochs}, to leave epochs for "
                "the pruned network: lower shrink"
            )

    def described(self) -> dict[str, Any]:
        """Return the fields as files store them, without newer ones that have no effect."""
        fields = asdict(self)
        return {name: fields[name] for name in fields if fields[name] != LATER.get(name, ...)}


LATER: dict[str, Any] = {"crop": 1.0, "shrink": 0, "averaging": 0.0}
"""Fields that earlier files lack -> value that has no effect."""

WHOLE: dict[str, dict[str, Any]] = {
    "epochs": {"at_least": 1},
    "batch_size": {"at_least": 1},
    "shift": {"at_least": 0},
    "seed": {"at_least": 0, "at_most": 2**32 - 1},
    "shrink": {"at_least": 0},
}
"""Fields of a recipe that are integers -> bounds."""

REAL: dict[str, dict[str, Any]] = {
    "learning_rate": {"above": 0},
    "warmup": {"above": 0, "below": 1},
    "momentum": {"at_least": 0, "below": 1},
    "weight_decay": {"at_least": 0},
    "label_smoothing": {"at_least": 0, "below": 1},
    "distillation": {"at_least": 0, "at_most": 1},
    "temperature": {"above": 0},
    "crop": {"above": 0, "at_most": 1},
    "averaging": {"at_least": 0, "below": 1},
}
"""Fields of a recipe that are real numbers -> bounds."""

FINETUNING = Recipe(
    epochs=30,
    batch_size=64,
    learning_rate=0.02,
    schedule="cosine",
    weight_decay=5e-4,
    distillation=0.5,
    precision="auto",
)
"""Default recipe of fine-tuning."""
