"""A few steps of training within the recovery of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from amc_gym._utils.arguments import shown
from amc_gym.compression.recovery.recovery import Calibration, Recovery, register
from amc_gym.compression.slim import Kept

STEPS = 100

MOST_STEPS = 10_000
"""Within one evaluation; whoever wants more trains the network that was found."""


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
            ValueError: STEPS is no whole number from 1 to ``MOST_STEPS``.
        """
        if amount is None:
            return cls()
        if not (amount.isdecimal() and len(amount) <= 9 and 1 <= int(amount) <= MOST_STEPS):
            raise ValueError(
                f"recovery {shown(f'finetune:{amount}')}: finetune takes a number of steps, as in "
                f"finetune:100, at most {MOST_STEPS}"
            )
        return cls(int(amount))

    def apply(self, network: nn.Module, kept: Kept | None, calibration: Calibration) -> nn.Module:
        """Train ``network``; training itself is not this package's business."""
        return calibration.finetune(network, self.steps)

    def __str__(self) -> str:
        return f"{self.name}:{self.steps}"
