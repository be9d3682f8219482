"""Plans by rule: a unit's sparsity is a function of its depth alone (paper, figure 2).

``uniform`` prunes the same share of every unit's channels, ``shallow`` most from the first units
and ``deep`` most from the last, each as little as the budget allows.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from amc_gym.envs.budget import Budget, nearest

Rule = Callable[[int], list[Fraction]]
"""Function: number of units -> relative sparsities, each in (0, 1]."""


def uniform(units: int) -> list[Fraction]:
    """Return equal sparsities for all units."""
    return [Fraction(1)] * units


def shallow(units: int) -> list[Fraction]:
    """Return sparsities that fall linearly with depth, to 1 / units in the last unit."""
    return [Fraction(units - t, units) for t in range(units)]


def deep(units: int) -> list[Fraction]:
    """Return sparsities that rise linearly with depth, from 1 / units in the first unit."""
    return shallow(units)[::-1]


def counts(budget: Budget, rule: Rule, level: Fraction) -> tuple[int, ...]:
    """Return each unit's admissible count nearest to (1 - level * rule) of its channels.

    Ties go up.  A unit stops at its smallest admissible count, while ``level`` may exceed 1, so
    that every rule reaches every feasible budget.
    """
    shares = rule(len(budget.channels))
    return tuple(
        nearest(choices, (1 - level * share) * channels)  # type: ignore[arg-type]  # exact
        for choices, channels, share in zip(budget.admissible, budget.channels, shares, strict=True)
    )


def largest(budget: Budget, rule: Rule = uniform) -> tuple[int, ...]:
    """Return counts of the rule's largest plan within the budget.

    A unit's count changes only where its share of the channels passes the middle of two admissible
    counts, and between two such levels of any units the plan stays the same.  So bisecting until no
    unit changes twice leaves few levels to try.  The result is exact, found by cost arithmetic
    alone, and as quick for millions of weights as for channels.
    """
    shares = rule(len(budget.channels))
    low, high = Fraction(0), 1 / min(shares)  # nothing is pruned; every unit is at its smallest
    larger, found = counts(budget, rule, low), counts(budget, rule, high)
    if budget.admits(larger):
        return larger
    while any(
        choices.index(one) - choices.index(other) > 1
        for choices, one, other in zip(budget.admissible, larger, found, strict=True)
    ):
        level = (low + high) / 2
        plan = counts(budget, rule, level)
        if budget.admits(plan):
            high, found = level, plan
        else:
            low, larger = level, plan
    middles = {
        (1 - Fraction(one + other, 2 * channels)) / share
        for channels, share, one, other in zip(budget.channels, shares, larger, found, strict=True)
        if one != other
    }
    # Exactly in the middle the count is still the upper one.
    plans = (counts(budget, rule, level) for level in sorted(middles))
    return next((plan for plan in plans if budget.admits(plan)), found)
