"""Search: it beats the uniform plan, keeps the budget, and depends only on the seed."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import pytest

import amc_gym
from amc_gym.envs.budget import Budget, nearest
from amc_gym.envs.factory import make_env
from amc_gym.workflows.evolution import Evolution


def is_uniform(counts: Sequence[int], budget: Budget) -> bool:
    """Tell whether these counts are one fraction of all units' channels, rounded."""
    low, high = [], []
    for count, channels, choices in zip(counts, budget.channels, budget.admissible, strict=True):
        half = max(np.diff(choices), default=0) / 2
        low.append((count - half) / channels if count > min(choices) else 0.0)
        high.append((count + half) / channels if count < channels else 1.0)
    return max(low) <= min(high)


@pytest.mark.thorough
def test_search_beats_the_uniform_plan_on_digits():
    env = make_env("MobileNet")  # its budget is 20 % of the MACs
    seen = []
    plan = amc_gym.search(env, 60, progress=False, found=seen.append)
    uniform = seen[0]
    assert is_uniform(uniform.counts, env.budget)
    assert uniform.measured.accuracy < 0.85
    assert plan.measured.accuracy > 0.90
    assert plan is seen[-1]
    rewards = [better.measured.accuracy for better in seen]
    assert rewards == sorted(set(rewards))


def test_every_plan_is_within_the_budget_and_hardly_below(plain_task):
    env = make_env(plain_task, preserve_ratio=0.5)
    evolution = Evolution(env.budget, np.random.default_rng(0), 10)
    cost, budget = env.engine.costs["macs"], env.budget
    assert budget.limit is not None
    proposed = []
    for _ in range(40):
        counts = evolution.propose()
        evolution.accept(counts, -float(abs(counts[0] - 5)))
        proposed.append(counts)
        assert cost.total(counts) <= budget.limit
        assert all(
            count in choices for count, choices in zip(counts, budget.admissible, strict=True)
        )
        # One step more in every unit that is not whole would exceed the budget.
        larger = [
            nearest(choices, count + choices[0])
            for count, choices in zip(counts, budget.admissible, strict=True)
        ]
        assert cost.total(larger) > budget.limit
    assert len(set(proposed)) == 40
    assert [counts[0] for counts in proposed[-5:]].count(5) >= 3  # later plans keep what paid


def test_the_same_seed_finds_the_same_plan(plain_task):
    plans = [amc_gym.search(plain_task, 30, seed, progress=False) for seed in (1, 1)]
    assert plans[0] == plans[1]
    seen: list[list[str]] = [[], []]
    for seed, found in enumerate(seen):
        env = Recording(make_env(plain_task), found)
        amc_gym.search(env, 10, seed, progress=False)
    assert seen[0] != seen[1]
    assert len(seen[0]) == 10  # the number of evaluations that were asked for


class Recording(gym.Wrapper):
    def __init__(self, env, plans):
        super().__init__(env)
        self.plans = plans

    def step(self, action):
        step = super().step(action)
        if step[2]:
            self.plans.append(step[-1]["plan"])
        return step


def test_unconstrained_search_trades_errors_for_size(plain_task):
    env = make_env(plain_task, preserve_ratio=None, reward="error-log-params")
    rewards = []

    class Rewards(gym.Wrapper):
        def step(self, action):
            step = super().step(action)
            rewards.append(step[1]) if step[2] else None
            return step

    plan = amc_gym.search(Rewards(env), 40, progress=False)
    assert max(rewards) > rewards[0]  # the reward of the full network
    assert plan.options["preserve_ratio"] is None
    error = 1 - plan.measured.accuracy
    assert -error * np.log(plan.measured.params) == pytest.approx(max(rewards))


def test_one_evaluation_is_the_uniform_plan(plain_task):
    env = make_env(plain_task)
    plan = amc_gym.search(env, 1, progress=False)
    assert is_uniform(plan.counts, env.budget)
    assert not is_uniform(plan.counts[::-1], env.budget)
    assert env.budget.limit is not None
    assert plan.measured.macs <= env.budget.limit < env.engine.costs["macs"].full


def test_tasks_and_options_that_cannot_be_searched_are_refused(plain_task):
    with pytest.raises(ValueError, match="at least 1, not 0"):
        amc_gym.search(plain_task, 0)
    with pytest.raises(ValueError, match="needs an AMC environment"):
        amc_gym.search(gym.make("CartPole-v1"), 1)
    with pytest.raises(ValueError, match="action_mode='clamp'"):
        amc_gym.search(make_env(plain_task, action_mode="feasible"), 5, progress=False)
