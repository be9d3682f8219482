"""Every registered network, from an episode to a file and back: same logits, fewer weights."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from small import play

import amc_gym
from amc_gym.registration import IDS


@pytest.mark.parametrize("id_", IDS)
@pytest.mark.thorough
def test_plan_and_file_give_the_same_logits(id_, tmp_path):
    env = gym.make(id_, weights="random", reward_images=20).unwrapped
    rng = np.random.default_rng(0)
    *_, info = play(env, rng.uniform(size=len(env.budget.channels)).tolist())
    network = amc_gym.compress(env.task, env.plan)
    plan = amc_gym.CompressionPlan.load(env.plan.save(tmp_path / "plan.json"))
    again = amc_gym.compress(env.task, plan)
    exported = amc_gym.export(network, env.task, tmp_path / "small.safetensors")
    loaded = amc_gym.load(tmp_path / "small.safetensors")
    images = env.task.test.batch(slice(16))
    with torch.inference_mode():
        expected = network(images)
        assert torch.equal(again(images), expected)
        torch.testing.assert_close(loaded(images), expected)
    full = env.engine.costs
    assert exported.macs == info["macs"] < full["macs"].full
    assert exported.params == info["params"] < full["params"].full
