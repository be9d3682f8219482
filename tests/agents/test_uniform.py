"""The uniform rule, and plans executed as they are named."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agents
from agents.plans import amc, execute
from agents.uniform import largest_uniform, uniform_counts
from amc_gym.envs.budget import Budget


def product_cost(counts: Any) -> int:
    """A chain of layers: 3 inputs, 10 outputs."""
    return sum(a * b for a, b in itertools.pairwise([3, *counts, 10]))


def budget(ratio: float | None, channels: tuple[int, ...] = (8, 12, 20), step: int = 1) -> Budget:
    n = len(channels)
    return Budget(
        product_cost, channels, preserve_ratio=ratio, max_sparsity=[0.8] * n, steps=[step] * n
    )


def test_largest_uniform_by_hand() -> None:
    # Full cost 3*8 + 8*12 + 12*20 + 20*10 = 560, so at 0.5 the limit is 280.
    # The plans near it:  ratio 0.66: (5, 8, 13) = 15 + 40 + 104 + 130 = 289, over;
    # below 13.5/20 ... 12.5/20 the third unit falls to 12, below 7.5/12 = 12.5/20 the second to 7:
    # (5, 7, 12) = 15 + 35 + 84 + 120 = 254, within.
    assert largest_uniform(budget(0.5)) == (5, 7, 12)


@settings(deadline=None, max_examples=50)
@given(
    channels=st.lists(st.integers(2, 40), min_size=1, max_size=5).map(tuple),
    ratio=st.floats(0.3, 1.0),
    step=st.sampled_from([1, 4]),
)
def test_no_larger_uniform_plan_is_within_the_budget(
    channels: tuple[int, ...], ratio: float, step: int
) -> None:
    try:
        bound = budget(ratio, channels, step)
    except ValueError:  # infeasible
        return
    assert bound.limit is not None
    found = largest_uniform(bound)
    assert product_cost(found) <= bound.limit
    # Counts of C channels change at multiples of 1 / 2C, the plan at no other ratio.
    ratios = {Fraction(i, 2 * c) for c in channels for i in range(2 * c + 1)}
    plans = {uniform_counts(bound, ratio) for ratio in ratios}
    assert found in plans
    larger = [plan for plan in plans if product_cost(plan) > product_cost(found)]
    assert all(product_cost(plan) > bound.limit for plan in larger)


@settings(deadline=None)
@given(counts=st.tuples(st.integers(2, 8), st.integers(3, 12), st.integers(4, 20)))
def test_fits_is_the_cost_compared_with_the_limit(counts: tuple[int, ...]) -> None:
    bound = budget(0.5)
    assert bound.admits(counts) == (product_cost(counts) <= 280)
    assert budget(None).admits(counts)


@pytest.mark.parametrize("action_mode", ["clamp", "feasible"])
@pytest.mark.parametrize("resource", ["macs", "params"])
def test_uniform_evaluates_that_plan_once(make_env: Any, action_mode: str, resource: str) -> None:
    env = make_env(action_mode=action_mode, resource=resource)
    result = agents.make("uniform", env, seed=0).learn(100)
    (episode,) = result.history
    assert episode.channels == largest_uniform(amc(env).budget)
    limit, spent = amc(env).budget.limit, getattr(episode, resource)
    assert limit is not None
    assert 0.9 * limit < spent <= limit


def test_uniform_without_a_budget_prunes_nothing(make_env: Any) -> None:
    env = make_env(preserve_ratio=None)
    (episode,) = agents.make("uniform", env, seed=0).learn(1).history
    assert episode.channels == amc(env).budget.channels


@pytest.mark.parametrize("action_mode", ["clamp", "feasible"])
def test_execute_evaluates_the_named_plan(make_env: Any, action_mode: str) -> None:
    env = make_env(action_mode=action_mode)
    bound = amc(env).budget
    smallest = [choices[0] for choices in bound.admissible]
    counts = [choices[1] for choices in bound.admissible[:5]] + smallest[5:]
    info = execute(env, counts)
    assert amc(env).plan.counts == tuple(counts)
    assert info["reward"] == info["accuracy"]


def test_execute_refuses_a_plan_over_the_budget(make_env: Any) -> None:
    env = make_env()
    with pytest.raises(ValueError, match="within the budget"):
        execute(env, amc(env).budget.channels)
