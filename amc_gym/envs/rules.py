"""Plans by rule: how much each unit loses is a function of its depth alone (paper, figure 2).

``uniform`` takes the same share of every unit's channels, ``shallow`` most from the first units and
``deep`` most from the last; all of them as little as the budget allows.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from amc_gym.envs.budget import Budget, nearest

Rule = Callable[[int], list[Fraction]]
"""Number of units -> what sparsities are proportional to, each in (0, 1]."""


def uniform(units: int) -> list[Fraction]:
    """Give every unit an equal share."""
    return [Fraction(1)] * units


def shallow(units: int) -> list[Fraction]:
    """Falls linearly with depth; the last unit has 1 / units."""
    return [Fraction(units - t, units) for t in range(units)]


def deep(units: int) -> list[Fraction]:
    """Rises linearly with depth; the first unit has 1 / units."""
    return shallow(units)[::-1]


def counts(budget: Budget, rule: Rule, level: Fraction) -> tuple[int, ...]:
    """Each unit's admissible count nearest to what ``level`` times the rule leaves; ties go up.

    A unit stops at its least admissible count, while ``level`` may go on beyond 1: so every rule
    reaches every budget that can be reached.
    """
    shares = rule(len(budget.channels))
    return tuple(
        nearest(choices, (1 - level * share) * channels)  # type: ignore[arg-type]  # exact
        for choices, channels, share in zip(budget.admissible, budget.channels, shares, strict=True)
    )


def largest(budget: Budget, rule: Rule = uniform) -> tuple[int, ...]:
    """Return counts of the rule's largest plan within the budget.

    A unit's count only changes where its share of the channels passes the middle of two admissible
    counts.  Between two such levels, of whatever unit, the plan stays the same, so bisecting until
    no unit changes twice leaves few levels to try: exact, by cost arithmetic alone, and of millions
    of single weights as quick as of channels.
    """
    shares = rule(len(budget.channels))
    low, high = Fraction(0), 1 / min(shares)  # nothing is pruned; every unit is at its least
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
    # At a middle the count is still the upper one.
    plans = (counts(budget, rule, level) for level in sorted(middles))
    return next((plan for plan in plans if budget.admits(plan)), found)
