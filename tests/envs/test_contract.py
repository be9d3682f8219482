"""The contract that every registered id keeps."""

import json
import pickle
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from small import play
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import amc_gym
from amc_gym import CompressionPlan
from amc_gym.registration import IDS as SINGLE
from amc_gym.registration import SUITES, register

IDS = sorted({"AMC-v0", *SINGLE})
KEYWORDS = {"weights": "random", "dataset": "digits", "reward_images": 20}


def keywords(id_):
    return KEYWORDS | ({"task": "MobileNet"} if id_ == "AMC-v0" else {})


@pytest.fixture(params=IDS)
def env(request):
    with gym.make(request.param, **keywords(request.param)) as made:
        yield made


def steps(env):
    return len(env.unwrapped.budget.channels)


def test_the_family_is_registered_once():
    assert {"AMC-v0", "AMC-MobileNet-v0"} <= set(IDS)
    assert {id_ for id_ in gym.registry if id_.startswith("AMC-")} == {*IDS, *SUITES}
    before = dict(gym.registry)
    register()
    assert dict(gym.registry) == before


def test_gymnasium_and_sb3_find_nothing_wrong(env):
    check_env(env.unwrapped)
    sb3_check_env(env.unwrapped)


def test_spaces_and_limits(env):
    assert env.observation_space == gym.spaces.Box(0, 1, (11,), np.float32)
    assert env.action_space == gym.spaces.Box(0, 1, (1,), np.float32)
    assert env.spec.max_episode_steps is None


def test_an_episode_decides_each_unit_once_and_pays_at_the_end(env):
    observation, info = env.reset(seed=0)
    assert info == {}
    seen = [observation]
    n = steps(env)
    for t in range(n):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        seen.append(observation)
        assert {"layer", "sparsity", "channels"} <= set(info)
        assert not truncated
        assert terminated == (t == n - 1)
        if not terminated:
            assert reward == 0
    assert reward == info["accuracy"] == info["score"]
    assert all(env.observation_space.contains(row) for row in seen)
    assert [row[0] for row in seen] == pytest.approx([t / n for t in range(n + 1)])
    distinct = {row.tobytes() for row in seen}
    assert len(distinct) == n + 1


def test_terminal_info_is_flat_and_complete(env):
    *_, info = play(env, [0.5] * steps(env))
    assert set(info) == {
        *("layer", "sparsity", "channels"),
        *("accuracy", "score", "macs", "params", "macs_ratio", "params_ratio", "plan"),
    }
    assert all(isinstance(value, str | int | float) for value in info.values())
    engine = env.unwrapped.engine
    assert info["macs_ratio"] == info["macs"] / engine.costs["macs"].full
    plan = CompressionPlan.from_json(info["plan"])
    assert plan == env.unwrapped.plan
    assert amc_gym.validate(env.unwrapped.task, plan).ok


def test_equal_actions_give_equal_results_bit_for_bit(env):
    n = steps(env)
    actions = np.random.default_rng(0).uniform(size=n).tolist()
    first = play(env, actions)
    env.unwrapped.engine.evaluator.forget()
    second = play(env, actions, seed=1)
    assert first[1:] == second[1:]
    assert np.array_equal(first[0], second[0])


def test_unknown_keywords_are_pythons_own_type_error(env):
    with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'"):
        gym.make(env.spec.id, frameskip=1, **keywords(env.spec.id))


def test_the_spec_survives_json(env):
    spec = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
    with gym.make(spec) as again:
        assert play(again, [0.5] * steps(env))[1] == play(env, [0.5] * steps(env))[1]


def test_environments_of_one_task_share_everything_heavy(env):
    with gym.make(env.spec.id, **keywords(env.spec.id)) as other:
        assert other.unwrapped.task is env.unwrapped.task
        assert other.unwrapped.engine is env.unwrapped.engine


def test_interleaved_environments_do_not_disturb_each_other(env):
    n = steps(env)
    alone = [play(env, [a] * n)[1:4] for a in (0.2, 0.7)]
    with gym.make(env.spec.id, **keywords(env.spec.id)) as other:
        env.unwrapped.engine.evaluator.forget()
        env.reset()
        other.reset()
        for _ in range(n):
            one = env.step(np.array([0.2], dtype=np.float32))
            two = other.step(np.array([0.7], dtype=np.float32))
    assert [list(one[1:4]), list(two[1:4])] == alone


def test_rendering(env):
    id_ = env.spec.id
    with gym.make(id_, render_mode="ansi", **keywords(id_)) as text:
        text.reset()
        text.step(np.array([0.5], dtype=np.float32))
        shown = str(text.render())
    assert f"1/{steps(env)} units decided" in shown
    assert env.unwrapped.engine.graph.units[0].name in shown
    with gym.make(id_, render_mode="rgb_array", **keywords(id_)) as bars:
        bars.reset()
        before = bars.render()
        bars.step(np.array([0.5], dtype=np.float32))
        after = bars.render()
    assert isinstance(before, np.ndarray)
    assert isinstance(after, np.ndarray)
    assert before.shape == (400, 600, 3)
    assert before.dtype == np.uint8
    assert (before != after).any()


def test_it_works_without_an_import_of_the_package():
    code = (
        "import gymnasium as gym, torch; torch.set_num_threads(1);"
        "env = gym.make('amc_gym:AMC-MobileNet-v0', weights='random', reward_images=5);"
        "print(env.spec.id)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "AMC-MobileNet-v0", done.stderr


def test_nothing_in_info_or_plan_depends_on_the_clock(env):
    n = steps(env)
    plans = [json.loads(play(env, [0.5] * n)[-1]["plan"]) for _ in range(2)]
    assert plans[0] == plans[1]


def test_infos_can_be_sent_to_other_processes(env):
    *_, info = play(env, [0.5] * steps(env))
    assert pickle.loads(pickle.dumps(info)) == info
