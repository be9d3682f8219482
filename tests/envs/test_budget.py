"""Budgets: Algorithm 1 in integers holds for every sequence of actions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from amc_gym.envs.batched_budget import BatchedBudget
from amc_gym.envs.budget import Budget, admissible, nearest, smallest_ratio


@st.composite
def chains(draw):
    """Draw a chain of convolutions of cost sum of k_{t-1} k_t a_t, and a feasible ratio."""
    channels = draw(st.lists(st.integers(1, 40), min_size=1, max_size=6))
    n = len(channels)
    sites = draw(st.lists(st.integers(1, 50), min_size=n + 1, max_size=n + 1))
    steps = draw(st.lists(st.sampled_from([1, 1, 2, 4, 8]), min_size=n, max_size=n))
    a_max = draw(st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.98]))

    def cost(counts):
        widths = [3, *counts, 10]
        return sum(a * b * s for (a, b), s in zip(pairwise(widths), sites, strict=True))

    ratio = draw(st.floats(smallest(cost, channels, a_max, steps), 1.0))
    return cost, channels, ratio, a_max, steps


def smallest(cost, channels, a_max, steps):
    """Return the smallest feasible ratio, which error messages name."""
    least = [admissible(c, a_max, s)[0] for c, s in zip(channels, steps, strict=True)]
    return smallest_ratio(cost(least), cost(channels))


def build(chain):
    cost, channels, ratio, a_max, steps = chain
    return Budget(
        cost,
        channels,
        preserve_ratio=ratio,
        max_sparsity=[a_max] * len(channels),
        steps=steps,
    )


@settings(max_examples=300, deadline=None)
@given(
    chain=chains(), actions=st.lists(st.floats(0, 1), min_size=6, max_size=6), mode=st.booleans()
)
def test_no_action_sequence_exceeds_the_budget(chain, actions, mode):
    budget = build(chain)
    executed: list[int] = []
    for t, action in zip(range(len(chain[1])), actions, strict=False):
        kept = (budget.feasible if mode else budget.clamp)(executed, action)
        assert kept in budget.admissible[t]
        executed.append(kept)
    assert budget.limit is not None
    assert chain[0](executed) <= budget.limit


@settings(max_examples=300, deadline=None)
@given(chain=chains())
def test_an_agent_that_never_prunes_ends_within_one_step_of_the_budget(chain):
    cost, budget = chain[0], build(chain)
    executed: list[int] = []
    for _ in chain[1]:
        executed.append(budget.clamp(executed, 0.0))
    assert budget.limit is not None
    # The unit that first met its cap could not have kept the next admissible count, even with all
    # later units at their least; the units after it were filled up to their own caps in turn.
    bounded = [t for t, k in enumerate(executed) if k < budget.admissible[t][-1]]
    for t in bounded:
        later = [counts[0] for counts in budget.admissible[t + 1 :]]
        assert cost([*executed[:t], next_count(budget, executed, t), *later]) > budget.limit
    if bounded:
        t = bounded[-1]
        raised = [*executed[:t], next_count(budget, executed, t), *executed[t + 1 :]]
        assert cost(raised) > budget.limit


def next_count(budget, executed, t):
    choices = budget.admissible[t]
    return choices[choices.index(executed[t]) + 1]


@settings(max_examples=200, deadline=None)
@given(chain=chains())
def test_refused_exactly_when_the_smallest_network_is_too_large(chain):
    cost, channels, _, a_max, steps = chain
    feasible = smallest(cost, channels, a_max, steps)
    build((cost, channels, feasible, a_max, steps))  # the ratio in the message is feasible
    too_small = feasible - 0.0002
    assume(too_small > 0)
    with pytest.raises(ValueError, match=f"smallest feasible ratio is {feasible}"):
        build((cost, channels, too_small, a_max, steps))


@settings(max_examples=200, deadline=None)
@given(chain=chains())
def test_feasible_actions_span_cap_to_least(chain):
    budget = build(chain)
    assert budget.feasible([], 0.0) == budget.cap([])
    assert budget.feasible([], 1.0) == budget.admissible[0][0]


def test_the_printed_algorithm_is_the_linear_special_case():
    """Prune weights: W = 100, 200, 300, alpha = 0.5 reduced, a_max = 0.8 (paper, Algorithm 1)."""
    weights = [100, 200, 300]
    budget = Budget(sum, weights, preserve_ratio=0.5, max_sparsity=[0.8] * 3, steps=[1] * 3)
    executed: list[int] = []
    for t, wanted in enumerate([0.0, 0.1, 0.2]):
        reduced = sum(weights[:t]) - sum(executed)
        duty = 0.5 * 600 - 0.8 * sum(weights[t + 1 :]) - reduced
        ratio = min(0.8, max(wanted, duty / weights[t]))
        executed.append(budget.clamp(executed, wanted))
        assert executed[-1] == round(weights[t] * (1 - ratio))
    assert executed == [100, 140, 60]
    assert sum(executed) == budget.limit


@pytest.mark.parametrize(
    ("channels", "a_max", "step", "expected"),
    [
        (10, 0.8, 1, (2, 3, 4, 5, 6, 7, 8, 9, 10)),
        (10, 0.7, 1, (3, 4, 5, 6, 7, 8, 9, 10)),  # 1 - 0.7 is above 0.3 in binary
        (10, 0.8, 4, (4, 8, 10)),  # the full count is always admissible
        (3, 0.8, 8, (3,)),
        (32, 0.8, 8, (8, 16, 24, 32)),
        (5, 0.0, 1, (5,)),
    ],
)
def test_admissible_counts(channels, a_max, step, expected):
    assert tuple(admissible(channels, a_max, step)) == expected


def test_nearest_takes_the_larger_of_two_equally_near():
    assert nearest((2, 4, 8), 3) == 4
    assert nearest((2, 4, 8), 6) == 8
    assert nearest((2, 4, 8), 5.9) == 4
    assert nearest((2, 4, 8), 0) == 2
    assert nearest((2, 4, 8), 99) == 8


@pytest.mark.parametrize("ratio", [0, -0.5, 1.01, float("nan")])
def test_a_ratio_outside_its_range_is_refused(ratio):
    with pytest.raises(ValueError, match=r"preserve_ratio must be in \(0, 1\]"):
        Budget(sum, [4], preserve_ratio=ratio, max_sparsity=[0.5], steps=[1])


def test_unconstrained_means_every_count():
    budget = Budget(sum, [10, 10], preserve_ratio=None, max_sparsity=[0.8] * 2, steps=[1] * 2)
    assert budget.limit is None
    assert budget.cap([]) == 10
    assert np.isclose(budget.feasible([], 0.5), 6)


@settings(max_examples=200, deadline=None)
@given(chain=chains(), bounded=st.booleans(), data=st.data())
def test_plans_are_scaled_together_as_one_by_one(chain, bounded, data):
    budget = build(chain if bounded else (chain[0], chain[1], None, *chain[3:]))
    share = st.floats(0, 2)
    rows = data.draw(st.lists(st.lists(share, min_size=6, max_size=6), min_size=1, max_size=4))
    shares = np.array(rows)[:, : len(chain[1])]
    batched = BatchedBudget(budget, lambda plans: np.array([chain[0](x) for x in plans.tolist()]))
    found = batched.scaled(shares)
    assert [tuple(row) for row in found.tolist()] == [budget.scaled(row) for row in shares.tolist()]
    assert all(budget.admits(row) for row in found.tolist())
