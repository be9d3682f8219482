"""Stable-Baselines3's PPO: rollouts are whole episodes, budgets need not be multiples of them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
import yaml
from stable_baselines3 import PPO

import agents
from agents.plans import steps_per_episode
from agents.sb3 import HYPERPARAMS
from agents.sb3_ppo import BATCH_EPISODES, ROLLOUT_EPISODES, SB3PPO, wrapped


@pytest.mark.parametrize("episodes", [7, 8, 19])
def test_the_budget_is_spent_to_the_episode(episodes: int, make_env: Any) -> None:
    agent = agents.make("sb3-ppo", make_env(), 0)
    result = agent.learn(episodes)
    assert result.evaluations == episodes
    assert isinstance(agent.learner, SB3PPO)
    model = agent.learner.model
    assert (model.n_steps, model.batch_size) == (8 * 14, 2 * 14)
    # Ten epochs for each rollout that is not the last.
    assert model._n_updates == 10 * ((episodes - 1) // ROLLOUT_EPISODES)


def test_it_learns_what_pays(make_env: Any) -> None:
    """Learn a simple reward: accuracy falls with sparsity, and there is no budget."""
    env = make_env(weights="bundled", recovery="reconstruct", preserve_ratio=None)
    rewards = [e.reward for e in agents.make("sb3-ppo", env, 0).learn(160).history]
    assert sum(rewards[-40:]) > sum(rewards[:40]) + 2


@pytest.mark.parametrize("folder", ["paper", "sb3"])
def test_rows_count_steps_of_the_default_environment(folder: str, make_env: Any) -> None:
    rows = yaml.safe_load((HYPERPARAMS / folder / "ppo.yml").read_text())
    assert set(rows) == {"default", "AMC-MobileNet-v0"}
    steps = steps_per_episode(make_env())
    for row in rows.values():
        assert row["n_timesteps"] == 400 * steps
        assert row.get("n_steps", ROLLOUT_EPISODES * steps) == ROLLOUT_EPISODES * steps
        assert row.get("batch_size", BATCH_EPISODES * steps) == BATCH_EPISODES * steps


def test_default_row_is_sb3s_own(make_env: Any) -> None:
    ours = SB3PPO(make_env(), 0, hyperparams="sb3").model
    theirs = PPO("MlpPolicy", make_env(), device="cpu")
    for name in ("n_steps", "batch_size", "gamma", "gae_lambda", "n_epochs", "ent_coef"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_actions_are_rescaled(make_env: Any) -> None:
    row = yaml.safe_load((HYPERPARAMS / "paper" / "ppo.yml").read_text())["default"]
    env = wrapped(make_env(), row["env_wrapper"])
    assert isinstance(env, gym.wrappers.RescaleAction)
    assert (env.action_space.low, env.action_space.high) == (-1, 1)  # type: ignore[attr-defined]
    bare = make_env()
    assert wrapped(bare, None) is bare
