"""The bundled policy for many networks: its file, its first plan, and its use of evaluations."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

import agents
from agents.amc_policy import WEIGHTS, Process, ensemble
from agents.plan_value import SIZE, PlanValue, Units
from amc_gym.envs.compression_env import CompressionEnv


@pytest.fixture(scope="module")
def env():
    made = gym.make("AMC-MobileNet-v0", reward_images=100, reward="relative")
    made.reset()
    return made


def inner(env: gym.Env) -> CompressionEnv:
    assert isinstance(env.unwrapped, CompressionEnv)
    return env.unwrapped


def test_rows_say_what_a_plan_does(env):
    problem = inner(env).problem
    units, allocation = Units(problem), problem.allocation
    plans = np.array([allocation.uniform, allocation.least_error, problem.engine.graph.full])
    rows = units.rows(plans)
    np.testing.assert_array_equal(rows[:1], units.uniform)
    assert rows.shape == (3, len(problem), SIZE)
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(rows[0, :, -5], 0, atol=1e-6)  # no distance to the uniform plan
    np.testing.assert_allclose(rows[1, :, -4], 0, atol=1e-6)
    np.testing.assert_allclose(
        rows[2, :, [-10, -6]], 0, atol=1e-6
    )  # the full network has no errors


def test_padding_changes_nothing():
    torch.manual_seed(0)
    net = PlanValue().eval()
    rows = torch.rand(3, 7, SIZE)
    padded = torch.cat([rows, torch.rand(3, 4, SIZE)], dim=1)
    mask = torch.arange(11).expand(3, 11) < 7
    torch.testing.assert_close(net(padded, mask), net(rows), rtol=1e-4, atol=1e-5)


def test_zero_shot_is_the_first_of_more_and_repeats(env):
    first = agents.make("amc-policy", env, seed=1).learn(1)
    more = agents.make("amc-policy", env, seed=1).learn(6)
    assert first.evaluations == 1
    assert more.evaluations == 6
    assert more.distinct >= 5
    assert more.history[0].channels == first.best.counts
    again = agents.make("amc-policy", env, seed=1).learn(6)
    assert [e.channels for e in again.history] == [e.channels for e in more.history]


def test_with_plain_rewards_the_uniform_plan_is_the_second():
    env = gym.make("AMC-MobileNet-v0", reward_images=50)
    result = agents.make("amc-policy", env, seed=0).learn(3)
    assert result.history[1].channels == inner(env).problem.allocation.uniform


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"reward": "error-log-macs", "preserve_ratio": None}, "predicts scores"),
        ({"granularity": "weight", "resource": "params", "preserve_ratio": 0.3}, "granularity"),
    ],
)
def test_options_that_the_policy_does_not_know_are_refused(keywords, message):
    env = gym.make("AMC-MobileNet-v0", reward_images=20, recovery="none", **keywords)
    with pytest.raises(ValueError, match=message):
        agents.make("amc-policy", env, seed=0).learn(1)


def test_files_that_are_no_policies_are_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(OSError, match="does not hold weights of this version"):
        ensemble(str(tmp_path / "x.safetensors"))
    assert len(ensemble(str(WEIGHTS))) >= 3


def test_the_process_learns_the_errors_of_the_prediction():
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(30, 4)) * 0.3
    rest = 0.5 * logs[:, 0] + 0.2
    process = Process()
    process.fit(logs[:25], rest[:25])
    mean, deviation = process.at(logs[25:])
    np.testing.assert_allclose(mean, rest[25:], atol=0.1)
    assert (deviation < 0.2).all()
