"""`AMCEnv.execute`: the episode that ends in a given plan, through any wrappers."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TransformReward

from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.factory import make_env

MODES = pytest.mark.parametrize("action_mode", ["clamp", "feasible"])


def episode(env: AMCEnv, rng: np.random.Generator) -> tuple[float, dict]:
    """Play random actions; return the reward and the last info."""
    env.reset()
    over, reward, info = False, 0.0, {}
    while not over:
        _, reward, over, _, info = env.step(rng.random(1))
    return reward, info


def test_a_plan_that_no_residual_action_reaches(plain_task):
    env = make_env(plain_task, action_mode="residual", preserve_ratio=0.6)
    *smallest, last = (choices[0] for choices in env.budget.admissible)
    _, info = env.execute([*smallest, last])
    assert env.plan.counts == (*smallest, last)
    assert info["channels"] == last
    env.reset()
    assert env.step(np.ones(1))[-1]["channels"] > smallest[0]


@MODES
@pytest.mark.parametrize(
    "options",
    [
        {"preserve_ratio": 0.4},
        {"preserve_ratio": None, "reward": "error-log-params"},
        {"granularity": "weight", "recovery": "none", "resource": "params", "preserve_ratio": 0.3},
    ],
)
def test_counts_of_an_episode_give_that_episode_again(plain_task, action_mode, options):
    env, again = (make_env(plain_task, action_mode=action_mode, **options) for _ in range(2))
    rng = np.random.default_rng(0)
    for _ in range(5):
        expected = episode(env, rng)
        assert again.execute(env.plan.counts) == expected
        assert again.plan == env.plan


def test_wrappers_see_the_steps_and_have_the_last_word_on_the_reward(plain_task):
    env = make_env(plain_task, preserve_ratio=0.4)
    counts = env.budget.scaled(np.ones(env.steps_per_episode))
    steps = []

    class Watched(gym.Wrapper):
        def step(self, action):
            steps.append(action)
            return super().step(action)

    class Inverted(gym.ActionWrapper):
        def action(self, action):
            return 1 - action

    plain, info = env.execute(counts)
    assert not steps
    wrapped = Watched(TransformReward(env, lambda reward: 10 * float(reward)))
    assert env.execute(counts, through=wrapped) == (10 * plain, info)
    assert len(steps) == env.steps_per_episode
    with pytest.raises(ValueError, match="a wrapper changes actions"):
        env.execute(counts, through=Inverted(env))
    with pytest.raises(ValueError, match="not another one"):
        env.execute(counts, through=make_env(plain_task))


@MODES
def test_what_no_episode_ends_in_is_refused(plain_task, action_mode):
    env = make_env(plain_task, preserve_ratio=0.4, action_mode=action_mode)
    full = env.budget.channels
    with pytest.raises(ValueError, match="exceeds the budget of"):
        env.execute(full)
    with pytest.raises(
        ValueError, match=f"must be {len(full)}, one for each unit, not {len(full) - 1}"
    ):
        env.execute(full[1:])
    least = [choices[0] for choices in env.budget.admissible]
    with pytest.raises(ValueError, match="unit 0 cannot keep 0"):
        env.execute([0, *least[1:]])
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(1))  # no episode was started
