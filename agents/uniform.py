"""The rule without an agent: every unit loses the same share of its channels."""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from itertools import pairwise
from typing import Any

import gymnasium as gym

from agents.plans import amc, execute
from agents.registry import register
from amc_gym.envs.budget import Budget, nearest


def uniform_counts(budget: Budget, ratio: Fraction) -> tuple[int, ...]:
    """Each unit's admissible count nearest to ``ratio`` of its channels; ties go up."""
    return tuple(
        nearest(choices, ratio * channels)  # type: ignore[arg-type]  # exact, where a float is not
        for choices, channels in zip(budget.admissible, budget.channels, strict=True)
    )


def largest_uniform(budget: Budget) -> tuple[int, ...]:
    """Counts of the largest equal-sparsity plan within the budget.

    A unit's count only changes where ``ratio`` x channels passes the middle of two admissible
    counts.  Between two such ratios, of whatever unit, the plan stays the same, so bisecting the
    sorted list of them finds the largest plan exactly, by cost arithmetic alone.
    """
    middles = {
        Fraction(below + above, 2 * channels)
        for choices, channels in zip(budget.admissible, budget.channels, strict=True)
        for below, above in pairwise(choices)
    }
    ratios = [Fraction(0), *sorted(middles)]  # 0: every unit's minimum, feasible by construction

    def exceeds(ratio: Fraction) -> bool:
        return not budget.admits(uniform_counts(budget, ratio))

    return uniform_counts(budget, ratios[bisect_right(ratios, False, key=exceeds) - 1])


@register("uniform")
class Uniform:
    """Evaluates the largest equal-sparsity plan within the budget, once.

    Without a budget (``preserve_ratio=None``) that is the uncompressed network.  Channels come in
    whole steps, so the ratio that is reached lies below the budget; ``Episode.macs`` tells it.

    Args:
        env: an AMC environment in either action mode.
        seed: unused, the rule is deterministic.
    """

    def __init__(self, env: gym.Env[Any, Any], seed: int) -> None:
        self.env = env

    def learn(self, episodes: int) -> None:
        """Evaluate the plan; one episode is enough."""
        execute(self.env, largest_uniform(amc(self.env).budget))
