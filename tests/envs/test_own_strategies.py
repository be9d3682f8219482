"""Rewards and recoveries of users: functions work like those registered by name."""

from __future__ import annotations

import math
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import pytest
import torch
from small import play
from torch import nn

import amc_gym
from amc_gym import PlanError
from amc_gym.compression.plan import Measured
from amc_gym.compression.recovery import RECOVERIES, Recovery, register
from amc_gym.envs import rewards
from amc_gym.envs.factory import make_env, make_vector_env

HALVES = [0.5] * 4


def frugal(measured: Measured) -> float:
    return measured.accuracy - measured.params / 1e6


def double_bias(network: nn.Module, calibration: object) -> None:
    with torch.no_grad():
        network.get_parameter("classifier.bias").mul_(2)


def test_a_function_is_a_reward(plain_task):
    env = make_env(plain_task, reward=frugal)
    _, reward, _, _, info = play(env, HALVES)
    assert reward == info["accuracy"] - info["params"] / 1e6
    assert env.plan.options["reward"] == f"{__name__}:frugal"
    assert amc_gym.validate(plain_task, env.plan).ok
    several = make_vector_env(2, plain_task, reward=frugal)
    several.reset()
    for _ in HALVES:
        _, rewards_of_both, *_ = several.step(np.full((2, 1), 0.5))
    assert rewards_of_both.tolist() == [reward] * 2


def test_a_reward_that_is_none_says_so(plain_task):
    for broken in (lambda measured: math.nan, lambda measured: "much", lambda measured: 1 / 0):
        env = make_env(plain_task, reward=broken)
        with pytest.raises(ValueError, match=r"reward '.*lambda>' of Measured"):
            play(env, HALVES)
    with pytest.raises(TypeError, match="reward must be a function of what was measured"):
        make_env(plain_task, reward=lambda: 1.0)
    with pytest.raises(ValueError, match="unknown reward 'accurcy'; did you mean 'accuracy'"):
        make_env(plain_task, reward="accurcy")


def test_a_registered_reward_has_a_name(plain_task, monkeypatch):
    monkeypatch.setattr(rewards, "REWARDS", dict(rewards.REWARDS))
    rewards.register("frugal")(frugal)
    _, reward, *_ = play(make_env(plain_task, reward="frugal"), HALVES)
    assert reward == play(make_env(plain_task, reward=frugal), HALVES)[1]
    with pytest.raises(ValueError, match="there is a reward 'frugal' already"):
        rewards.register("frugal")(frugal)


@pytest.mark.parametrize("recovery", [double_bias, ["reconstruct", double_bias]])
def test_a_function_is_a_recovery(recovery, plain_task):
    env = make_env(plain_task, recovery=recovery)
    play(env, HALVES)
    plan = env.plan
    assert plan.options["recovery"].endswith(f"{__name__}:double_bias")
    with pytest.raises(PlanError, match="a file alone never runs code: pass the function"):
        amc_gym.compress(plain_task, plan)
    network = amc_gym.compress(plain_task, plan, recovery)
    original = plain_task.model.get_submodule("classifier").bias
    assert torch.equal(network.get_submodule("classifier").bias, 2 * original)
    assert amc_gym.accuracy(network, plain_task.reward) == plan.measured.accuracy
    assert amc_gym.validate(plain_task, plan, recovery=recovery).ok


def test_a_recovery_that_is_none_says_so(plain_task):
    with pytest.raises(TypeError, match="recovery must be a function of a network and"):
        make_env(plain_task, recovery=lambda network: network)
    with pytest.raises(TypeError, match="recovery must be 'none', steps"):
        make_env(plain_task, recovery=3)
    env = make_env(plain_task, recovery=lambda network, calibration: 3)
    with pytest.raises(ValueError, match="must return a network, or None"):
        play(env, HALVES)

    def broken(network: nn.Module, calibration: object) -> None:
        network.get_parameter("classifier.bias").data.fill_(math.nan)

    with pytest.raises(ValueError, match=r"leaves values in 'classifier.bias' that are not finite"):
        play(make_env(plain_task, recovery=broken), HALVES)

    def cut(network: nn.Module, calibration: object) -> nn.Module:
        return nn.Sequential(network, nn.Linear(5, 3))

    with pytest.raises(ValueError, match="must leave the outputs' shape as it is"):
        play(make_env(plain_task, recovery=cut), HALVES)


def test_a_registered_recovery_has_a_name_and_a_place(plain_task, monkeypatch):
    known = dict(RECOVERIES)

    @register
    @dataclass(frozen=True)
    class DoubleBias(Recovery):
        name = "double-bias"
        summary = "twice the classifier's bias"
        order = 15
        sparse = True

        def apply(self, network, kept, calibration):
            double_bias(network, calibration)
            return network

    try:
        assert list(RECOVERIES)[:2] == ["reconstruct", "double-bias"]
        env = make_env(plain_task, recovery="reconstruct+double-bias")
        _, reward, *_ = play(env, HALVES)
        own = make_env(plain_task, recovery=["reconstruct", double_bias])
        assert reward == play(own, HALVES)[1]
        assert amc_gym.validate(plain_task, env.plan).ok
        sparse = make_env(plain_task, granularity="weight", recovery="double-bias")
        play(sparse, [0.5] * sparse.steps_per_episode)
        assert amc_gym.validate(plain_task, sparse.plan).ok
        with pytest.raises(ValueError, match=r"in the order 'reconstruct\+double-bias'"):
            make_env(plain_task, recovery="double-bias+reconstruct")
    finally:
        RECOVERIES.clear()
        RECOVERIES.update(known)


def test_ids_take_users_functions_too():
    env = gym.make("AMC-Plain20-v0", reward=frugal, recovery=double_bias, weights="random")
    assert env.unwrapped.options["reward"] == f"{__name__}:frugal"
