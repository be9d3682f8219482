"""Error allocation: plans of least weighted error, also without any search."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import agents
from agents.error_allocation import CURVATURES, ErrorAllocation
from agents.plans import amc
from amc_gym.envs.allocation import allocate
from amc_gym.envs.budget import Budget
from amc_gym.envs.rules import largest


class Chain:
    """The MACs of a chain of linear layers with 3 inputs and 10 outputs."""

    def total(self, counts: Sequence[int]) -> int:
        return int(sum(a * b for a, b in itertools.pairwise([3, *counts, 10])))

    def totals(self, plans: np.ndarray) -> np.ndarray:
        return np.array([self.total(plan) for plan in plans])


def budget(ratio: float) -> Budget:
    return Budget(
        Chain().total, (6, 8, 7), preserve_ratio=ratio, max_sparsity=[0.8] * 3, steps=[1] * 3
    )


def falling(channels: int, power: float) -> np.ndarray:
    return (1 - np.arange(channels + 1) / channels) ** power


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.7, 0.9])
def test_the_plan_is_within_the_budget_and_near_the_best(ratio: float) -> None:
    bound = budget(ratio)
    assert bound.limit is not None
    errors = [falling(6, 2.0), falling(8, 1.2), falling(7, 3.0)]
    found = allocate(bound, Chain(), errors, bound.limit)

    def total(counts: Sequence[int]) -> float:
        return float(sum(error[k] for error, k in zip(errors, counts, strict=True)))

    allowed = [plan for plan in itertools.product(*bound.admissible) if bound.admits(plan)]
    assert found in allowed
    best, worst = min(map(total, allowed)), max(map(total, allowed))
    assert total(found) <= best + 0.1 * (worst - best)


def test_a_heavier_unit_keeps_more() -> None:
    bound = budget(0.5)
    assert bound.limit is not None
    kept = []
    for weight in (0.2, 1.0, 5.0):
        errors = [falling(6, 2.0), weight * falling(8, 2.0), falling(7, 2.0)]
        kept.append(allocate(bound, Chain(), errors, bound.limit)[1])
    assert kept == sorted(kept)
    assert kept[0] < kept[-1]


def test_without_evaluations_it_beats_the_uniform_plan(make_env: Any) -> None:
    """Check on the bundled network that errors alone, without rewards, improve a plan."""
    env = make_env(weights="bundled", recovery="reconstruct", reward_images=400)
    result = agents.make("error-allocation", env, 0).learn(1)
    evaluator = amc(env).engine.evaluator
    uniform = evaluator(largest(amc(env).budget)).score
    assert result.best_episode.accuracy > uniform + 0.05


def test_a_residual_network_begins_better_by_the_loss() -> None:
    """Compare by loss and by error: relative errors overrate ResNet-56's branches."""
    env = gym.make("AMC-ResNet56-v0", preserve_ratio=0.5)
    by_error = agents.make("error-allocation", env, 0).learn(1)
    by_loss = agents.make("loss-allocation", env, 0).learn(1)
    assert by_loss.best_episode.accuracy > by_error.best_episode.accuracy + 0.03


def test_it_searches_around_the_best_of_its_first_plans(make_env: Any) -> None:
    env = make_env(weights="bundled", recovery="reconstruct", reward_images=100)
    learner = ErrorAllocation(env, 0, by=CURVATURES)
    zeros = [0.0] * len(amc(env).budget.channels)
    begun = []
    for curvature in CURVATURES:
        learner.by = curvature
        begun.append(learner.plan(zeros))
    result = agents.make("loss-allocation", env, 0).learn(5)
    assert [episode.channels for episode in result.history[:3]] == begun
    best = max(result.history[:3], key=lambda episode: episode.reward)
    learner.by = CURVATURES[begun.index(best.channels)]
    assert learner.plan(zeros) == best.channels
    assert len({episode.channels for episode in result.history}) == 5


def test_without_a_budget_the_size_is_searched(make_env: Any) -> None:
    env = make_env(preserve_ratio=None, reward="error-log-macs")
    learner = ErrorAllocation(env, 0)
    zeros = [0.0] * len(amc(env).budget.channels)
    assert learner.plan(zeros, 1.0) == amc(env).budget.channels
    assert learner.plan(zeros, 0.0) == tuple(c[0] for c in amc(env).budget.admissible)
    result = agents.make("error-allocation", env, 0).learn(5)
    assert len({episode.macs for episode in result.history}) > 1


def test_single_weights_are_refused(make_env: Any) -> None:
    env = make_env(granularity="weight")
    with pytest.raises(ValueError, match="no reconstruction errors"):
        agents.make("error-allocation", env, 0)


def test_the_prior_and_the_process_can_be_left_out(make_env: Any) -> None:
    """Leave out the prior or the process, as `benchmarks.ablations` does."""
    env = make_env(weights="bundled", recovery="reconstruct", reward_images=50)
    whole = ErrorAllocation(env, 0)
    uniform = ErrorAllocation(env, 0, prior=False)
    assert uniform.plan([0.0] * 14) == amc(env).budget.scaled([1.0] * 14) != whole.plan([0.0] * 14)
    assert type(ErrorAllocation(env, 0, process=False).sampler).__name__ == "RandomSampler"
    assert type(whole.sampler) is type(uniform.sampler)
    assert type(whole.sampler).__name__ == "FrugalSampler"


def test_a_residual_network_begins_best_by_its_outputs() -> None:
    """Compare errors measured at the network's outputs with errors of the layers."""
    env = gym.make("AMC-ResNet56-v0", preserve_ratio=0.5)
    by_error = agents.make("error-allocation", env, 0).learn(1)
    by_outputs = agents.make("output-allocation", env, 0).learn(2)
    allocation = amc(env).problem.allocation
    assert by_outputs.history[0].channels == allocation.least("outputs")
    assert by_outputs.best_episode.accuracy > by_error.best_episode.accuracy + 0.1
