"""The human expert's approach: one multiplier for the widths of all layers (MobileNet's alpha).

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
2017.  It differs from the uniform rule in that widths are rounded to multiples of a number, but
never down by more than a tenth, as in MobileNet's own code.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from amc_gym.envs.budget import Budget, nearest

from .plans import amc, execute
from .registry import register

DIVISOR = 8
"""Widths are multiples of it, halved until each unit has at least four multiples."""


def divisor(channels: tuple[int, ...]) -> int:
    """Return the multiple that widths are rounded to: 8, less for units below 32 channels."""
    by = DIVISOR
    while by > 1 and by > min(channels) // 4:
        by //= 2
    return by


def rounded(width: float, by: int) -> int:
    """Return the multiple of ``by`` nearest to a width, but at least nine tenths of it."""
    multiple = max(by, int(width + by / 2) // by * by)
    return multiple + by if multiple < 0.9 * width else multiple


def widths(budget: Budget, multiplier: float) -> tuple[int, ...]:
    """Return the admissible counts nearest to a multiplier's rounded widths, at most all."""
    by = divisor(budget.channels)
    return tuple(
        nearest(choices, min(channels, rounded(multiplier * channels, by)))
        for choices, channels in zip(budget.admissible, budget.channels, strict=True)
    )


def _widest(budget: Budget) -> float:
    """Return the largest multiplier whose network fits the budget, found by bisection."""
    low, high = 0.0, 1.0
    if budget.admits(widths(budget, high)):
        return high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if budget.admits(widths(budget, middle)) else (low, middle)
    return low


@register("width-multiplier", kind="rule")
class WidthMultiplier:
    """An agent that evaluates the widest network of one multiplier within the budget, once.

    Args:
        env: an AMC environment that prunes channels, in either action mode.
        seed: has no effect.

    Raises:
        ValueError: the environment prunes weights, which have no width.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int = 0) -> None:
        if amc(env).engine.options.granularity == "weight":
            raise ValueError("width-multiplier prunes channels: choose granularity='channel'")
        self.env = env

    def learn(self, episodes: int) -> None:
        """Evaluate the plan; one episode is enough."""
        budget = amc(self.env).budget
        counts = widths(budget, _widest(budget))
        # The rounded widths may exceed the smallest admissible ones.
        execute(self.env, counts if budget.admits(counts) else budget.scaled(counts))
