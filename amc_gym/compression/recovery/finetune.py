"""A few steps of training as part of the recovery of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from amc_gym.compression.recovery.recovery import Calibration, Recovery, amount_of, register
from amc_gym.compression.slim import Kept

STEPS = 100

MOST_STEPS = 10_000
"""Most steps within one evaluation; to train longer, fine-tune the final network."""


@register
@dataclass(frozen=True)
class Finetune(Recovery):
    """Train on the calibration images.

    Attributes:
        steps: gradient steps.
    """

    name = "finetune"
    summary = "a few steps of training on the calibration images: finetune:STEPS"
    order = 50
    sparse = True
    trains = True

    steps: int = STEPS

    @classmethod
    def parse(cls, amount: str | None) -> Finetune:
        """Return the step that "finetune" or "finetune:STEPS" means.

        Raises:
            ValueError: STEPS is not a whole number from 1 to ``MOST_STEPS``.
        """
        if amount is None:
            return cls()
        return cls(amount_of(cls.name, amount, "steps", MOST_STEPS))

    def apply(self, network: nn.Module, kept: Kept | None, calibration: Calibration) -> nn.Module:
        """Train ``network`` by the function that ``calibration`` provides."""
        return calibration.finetune(network, self.steps)

    def __str__(self) -> str:
        return f"{self.name}:{self.steps}"
