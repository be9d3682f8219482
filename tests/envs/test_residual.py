"""Residual actions, which change the plan of least error, and rewards relative to uniform."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small import play

from agents.error_allocation import ErrorAllocation
from amc_gym import CompressionTask, Measured
from amc_gym.envs.factory import make_env
from amc_gym.envs.rewards import FLOOR, REWARDS, References

BUDGET = 0.15
RESIDUAL = {"action_mode": "residual", "reward": "relative"}


@pytest.fixture(scope="module")
def env() -> Any:
    return make_env("MobileNet", preserve_ratio=BUDGET, reward_images=200, **RESIDUAL)


@pytest.mark.parametrize("network", ["MobileNet", "plain_task"])
def test_the_middle_is_the_first_plan_of_error_allocation(network: str, request: Any) -> None:
    task = request.getfixturevalue(network) if network == "plain_task" else network
    env = make_env(task, reward_images=50, **RESIDUAL)
    for ratio in (0.3, 0.5, 0.9, 1.0):
        env.reset(options={"preserve_ratio": ratio})
        found = ErrorAllocation(env, 0).plan([0.0] * env.steps_per_episode)
        for _ in found:
            *_, info = env.step(np.array([0.5]))
        assert env.plan.counts == found
        assert info["preserve_ratio"] == ratio


def test_every_plan_is_within_the_budget_and_spends_it(env: Any) -> None:
    n = env.steps_per_episode
    spent = {"none": np.zeros(n), "middle": np.full(n, 0.5), "most": np.ones(n)}
    spent |= {str(i): row for i, row in enumerate(np.random.default_rng(0).random((10, n)))}
    for name, actions in spent.items():
        *_, info = play(env, actions)
        assert info["macs_ratio"] <= BUDGET
        # Later units get the channels that earlier ones give up, until they are whole.
        assert (
            info["macs_ratio"] > {"none": 0.98, "middle": 0.98, "most": 0.6}.get(name, 0.8) * BUDGET
        )


def test_more_is_pruned_the_larger_the_action(env: Any) -> None:
    env.reset()
    kept = [env.problem.mode.decide((), a) for a in np.linspace(0, 1, 21)]
    assert kept == sorted(kept, reverse=True)
    (middle, *_) = env.problem.allocation.least_error
    assert kept[10] == middle
    assert kept[0] > 1.4 * middle
    assert kept[20] < middle / 1.4


def test_the_uniform_plan_is_worth_nothing_and_the_full_network_one(env: Any) -> None:
    reward, info = env.execute(env.problem.allocation.uniform)
    assert reward == 0
    uniform, full = info["score"], env.engine.evaluator(env.engine.graph.full).score
    best, info = env.execute(env.problem.allocation.least_error)
    assert best == pytest.approx((info["score"] - uniform) / (full - uniform))
    assert 0.3 < best < 1
    assert env.plan.options["reward"] == "relative"


def measured(score: float) -> Measured:
    return Measured(score=score, images=100, macs=10, params=10)


def test_rewards_are_bounded_where_little_is_lost() -> None:
    relative = REWARDS["relative"]
    references = References(uniform=0.8, full=0.9)
    given = [relative(measured(score), references) for score in (0.0, 0.4, 0.8, 0.85, 0.9)]
    assert given == pytest.approx([-1, -0.5, 0, 0.5, 1])
    for full in (0.8, 0.7, 0.8 + FLOOR / 2):  # as good as the full network, and better
        none_lost = References(uniform=0.8, full=full)
        given = [relative(measured(score), none_lost) for score in (0.4, 0.8, 0.8 + FLOOR / 2)]
        assert given == pytest.approx([-0.5, 0, 0.5])
    assert relative(measured(0.5), References(uniform=0.0, full=0.5)) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"action_mode": "residual", "preserve_ratio": None}, "'residual' needs a budget"),
        ({"reward": "relative", "preserve_ratio": None}, "reward='relative' needs a budget"),
        (
            {"action_mode": "residual", "granularity": "weight", "recovery": "none"},
            "granularity='weight': choose granularity='channel'",
        ),
    ],
)
def test_options_without_a_plan_of_least_error_are_refused(
    plain_task: CompressionTask, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        make_env(plain_task, **options)
