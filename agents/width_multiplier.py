"""The human expert's way: one multiplier for the widths of all layers (MobileNet's alpha).

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
2017.  It differs from the uniform rule by what people do with the widths it gives: they round them
to round numbers, never by more than a tenth downwards, as MobileNet's own code has it.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from amc_gym.envs.budget import Budget, nearest

from .plans import amc, execute
from .registry import register

DIVISOR = 8
"""Widths are multiples of it, or of the largest halving that goes four times into each unit."""


def divisor(channels: tuple[int, ...]) -> int:
    """Multiple that widths are rounded to: 8, and less for networks of fewer than 32 channels."""
    by = DIVISOR
    while by > 1 and by > min(channels) // 4:
        by //= 2
    return by


def rounded(width: float, by: int) -> int:
    """Return the multiple of ``by`` nearest to a width, but at least nine tenths of it."""
    multiple = max(by, int(width + by / 2) // by * by)
    return multiple + by if multiple < 0.9 * width else multiple


def widths(budget: Budget, multiplier: float) -> tuple[int, ...]:
    """Admissible counts nearest to the rounded widths of a multiplier, at most the full ones."""
    by = divisor(budget.channels)
    return tuple(
        nearest(choices, min(channels, rounded(multiplier * channels, by)))
        for choices, channels in zip(budget.admissible, budget.channels, strict=True)
    )


def _widest(budget: Budget) -> float:
    """The largest multiplier whose network fits the budget; bisected, it grows with the widths."""
    low, high = 0.0, 1.0
    if budget.admits(widths(budget, high)):
        return high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if budget.admits(widths(budget, middle)) else (low, middle)
    return low


@register("width-multiplier", kind="rule")
class WidthMultiplier:
    """Evaluates the widest network of one multiplier that fits the budget, once; deterministic.

    Args:
        env: an AMC environment that prunes channels, in either action mode.
        seed: nothing depends on it.

    Raises:
        ValueError: the environment prunes single weights, which have no width.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int = 0) -> None:
        if amc(env).engine.options.granularity == "weight":
            raise ValueError("width-multiplier makes layers narrower: it has no single weights")
        self.env = env

    def learn(self, episodes: int) -> None:
        """Evaluate the plan; one episode is enough."""
        budget = amc(self.env).budget
        counts = widths(budget, _widest(budget))
        # Round numbers may lie above the least ones that are admissible.
        execute(self.env, counts if budget.admits(counts) else budget.scaled(counts))
