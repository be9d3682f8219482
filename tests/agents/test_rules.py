"""Rules: their plans worked out by hand, and the named plan is what is executed."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agents
from agents.plans import amc, execute
from amc_gym.envs.budget import Budget
from amc_gym.envs.rules import Rule, counts, deep, largest, shallow, uniform


def product_cost(counts: Any) -> int:
    """Return the MACs of a chain of linear layers with 3 inputs and 10 outputs."""
    return sum(a * b for a, b in itertools.pairwise([3, *counts, 10]))


def budget(ratio: float | None, channels: tuple[int, ...] = (8, 12, 20), step: int = 1) -> Budget:
    n = len(channels)
    return Budget(
        product_cost, channels, preserve_ratio=ratio, max_sparsity=[0.8] * n, steps=[step] * n
    )


def test_largest_by_hand() -> None:
    # Full cost 3*8 + 8*12 + 12*20 + 20*10 = 560, so at 0.5 the limit is 280.
    # The plans near it:  ratio 0.66: (5, 8, 13) = 15 + 40 + 104 + 130 = 289, over;
    # below 13.5/20 ... 12.5/20 the third unit falls to 12, below 7.5/12 = 12.5/20 the second to 7:
    # (5, 7, 12) = 15 + 35 + 84 + 120 = 254, within.
    assert largest(budget(0.5)) == (5, 7, 12)


def test_shallow_prunes_early_units_more_and_deep_late_ones() -> None:
    # Shares 1, 2/3, 1/3 of the level 0.6: losses of 60, 40 and 20 % of 8, 12 and 20 channels.
    level = Fraction(6, 10)
    assert counts(budget(None), uniform, level) == (3, 5, 8)
    assert counts(budget(None), shallow, level) == (3, 7, 16)
    assert counts(budget(None), deep, level) == (6, 7, 8)


def test_levels_go_on_until_every_unit_has_its_least() -> None:
    bound = budget(None)
    least = tuple(choices[0] for choices in bound.admissible)
    assert counts(bound, deep, Fraction(1))[0] > least[0]
    assert counts(bound, deep, Fraction(3)) == least


@pytest.mark.parametrize("rule", [uniform, shallow, deep])
@settings(deadline=None, max_examples=50)
@given(
    channels=st.lists(st.integers(2, 40), min_size=1, max_size=5).map(tuple),
    ratio=st.floats(0.3, 1.0),
    step=st.sampled_from([1, 4]),
)
def test_no_larger_plan_of_the_rule_is_within_the_budget(
    rule: Rule, channels: tuple[int, ...], ratio: float, step: int
) -> None:
    try:
        bound = budget(ratio, channels, step)
    except ValueError:  # infeasible
        return
    assert bound.limit is not None
    found = largest(bound, rule)
    assert product_cost(found) <= bound.limit
    # Counts of C channels change where the share that is left is a multiple of 1 / 2C.
    n = len(channels)
    levels = {
        (1 - Fraction(i, 2 * c)) / share
        for c, share in zip(channels, rule(n), strict=True)
        for i in range(-2 * c * n, 2 * c + 1)
    }
    plans = {counts(bound, rule, level) for level in levels}
    assert found in plans
    larger = [plan for plan in plans if product_cost(plan) > product_cost(found)]
    assert all(product_cost(plan) > bound.limit for plan in larger)


@settings(deadline=None)
@given(counts=st.tuples(st.integers(2, 8), st.integers(3, 12), st.integers(4, 20)))
def test_fits_is_the_cost_compared_with_the_limit(counts: tuple[int, ...]) -> None:
    bound = budget(0.5)
    assert bound.admits(counts) == (product_cost(counts) <= 280)
    assert budget(None).admits(counts)


@pytest.mark.parametrize("rule", [uniform, shallow, deep])
@pytest.mark.parametrize("action_mode", ["clamp", "feasible"])
@pytest.mark.parametrize("resource", ["macs", "params"])
def test_a_rule_evaluates_that_plan_once(
    make_env: Any, rule: Rule, action_mode: str, resource: str
) -> None:
    env = make_env(action_mode=action_mode, resource=resource)
    result = agents.make(rule.__name__, env, seed=0).learn(100)
    (episode,) = result.history
    assert episode.channels == largest(amc(env).budget, rule)
    limit, spent = amc(env).budget.limit, getattr(episode, resource)
    assert limit is not None
    assert 0.9 * limit < spent <= limit


def test_rules_prune_single_weights_too(make_env: Any) -> None:
    env = make_env(granularity="weight", resource="params", preserve_ratio=0.5)
    (episode,) = agents.make("uniform", env, seed=0).learn(1).history
    assert episode.channels == largest(amc(env).budget)


@pytest.mark.parametrize("name", ["uniform", "shallow", "deep"])
def test_a_rule_without_a_budget_prunes_nothing(make_env: Any, name: str) -> None:
    env = make_env(preserve_ratio=None)
    (episode,) = agents.make(name, env, seed=0).learn(1).history
    assert episode.channels == amc(env).budget.channels


@pytest.mark.parametrize("action_mode", ["clamp", "feasible"])
def test_execute_evaluates_the_named_plan(make_env: Any, action_mode: str) -> None:
    env = make_env(action_mode=action_mode)
    bound = amc(env).budget
    smallest = [choices[0] for choices in bound.admissible]
    counts = [choices[1] for choices in bound.admissible[:5]] + smallest[5:]
    reward, info = execute(env, counts)
    assert amc(env).plan.counts == tuple(counts)
    assert reward == info["accuracy"]


def test_execute_refuses_a_plan_over_the_budget(make_env: Any) -> None:
    env = make_env()
    with pytest.raises(ValueError, match="exceeds the budget"):
        execute(env, amc(env).budget.channels)
