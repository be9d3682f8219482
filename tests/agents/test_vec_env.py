"""AMCVecEnv: Stable-Baselines3 learns with it as with DummyVecEnv over the same environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers import RescaleAction
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from gymnasium.wrappers.vector import RescaleAction as RescaleActions
from packaging.version import Version
from stable_baselines3 import DDPG, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor

from agents.replay import EpisodeReturnReplayBuffer
from agents.vec_env import AMCVecEnv, unbatched

N, T = 3, 14
Make = Callable[..., VecEnv]
OPTIONS = {"weights": "random", "recovery": "none", "reward_images": 32}


def ours(**options: Any) -> AMCVecEnv:
    return AMCVecEnv(gym.make_vec("AMC-MobileNet-v0", num_envs=N, **OPTIONS, **options))


def theirs(**options: Any) -> DummyVecEnv:
    return DummyVecEnv([lambda: gym.make("AMC-MobileNet-v0", **OPTIONS, **options)] * N)


def rescaled_ours() -> AMCVecEnv:
    envs = gym.make_vec("AMC-MobileNet-v0", num_envs=N, **OPTIONS)
    return AMCVecEnv(RescaleActions(envs, np.float32(-1), np.float32(1)))


def rescaled_theirs() -> DummyVecEnv:
    def make() -> gym.Env[Any, Any]:
        return RescaleAction(gym.make("AMC-MobileNet-v0", **OPTIONS), np.float32(-1), np.float32(1))

    return DummyVecEnv([make] * N)


def same_step(one: Any, other: Any) -> None:
    """Assert that two steps have equal arrays and equal infos, types included."""
    for mine, sb3s in zip(one[:3], other[:3], strict=True):
        assert (mine.dtype, mine.tobytes()) == (sb3s.dtype, sb3s.tobytes())
    for mine, sb3s in zip(one[3], other[3], strict=True):
        assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in sb3s.items()}
        if "terminal_observation" in mine:
            last, last_sb3s = mine.pop("terminal_observation"), sb3s.pop("terminal_observation")
            assert (last.dtype, last.tobytes()) == (last_sb3s.dtype, last_sb3s.tobytes())
        assert mine == sb3s


def test_steps_are_those_of_dummy_vec_env() -> None:
    one, other = ours(), theirs()
    rng = np.random.default_rng(0)
    assert one.seed(7) == other.seed(7) == [7, 8, 9]
    assert one.reset().tobytes() == other.reset().tobytes()
    assert one.get_attr("np_random_seed") == other.get_attr("np_random_seed") == [7, 8, 9]
    for _ in range(2 * T + 3):
        actions = rng.random((N, 1), dtype=np.float32)
        same_step(one.step(actions), other.step(actions))
        assert one.reset_infos == other.reset_infos
    assert one.reset().tobytes() == other.reset().tobytes()


def test_last_infos_have_everything_sb3_looks_for() -> None:
    envs = ours()
    envs.reset()
    for _ in range(T):
        observations, rewards, dones, infos = envs.step(np.full((N, 1), 0.5, dtype=np.float32))
    assert dones.all()
    assert isinstance(observations, np.ndarray)
    assert (observations[:, 0] == 0).all()
    for reward, info in zip(rewards, infos, strict=True):
        assert info["terminal_observation"][0] == 1
        assert info["TimeLimit.truncated"] is False
        assert reward == np.float32(info["accuracy"])
        assert "plan" in info


def replayed(model: Any) -> dict[str, bytes]:
    """Return everything that was written into the replay buffer, as bytes."""
    buffer, held = model.replay_buffer, model.replay_buffer.size()
    names = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
    return {name: getattr(buffer, name)[:held].tobytes() for name in names}


def weights(model: BaseAlgorithm) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.policy.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("algorithm", [DDPG, TD3, SAC])
def test_off_policy_algorithms_learn_the_same(algorithm: type[Any]) -> None:
    runs = []
    for make in (ours, theirs):
        noise = None if algorithm is SAC else NormalActionNoise(np.zeros(1), np.full(1, 0.5))
        model = algorithm(
            "MlpPolicy",
            make(reward="error"),
            seed=3,
            device="cpu",
            train_freq=T,
            gradient_steps=8,
            learning_starts=2 * N * T,
            batch_size=16,
            buffer_size=1000,
            action_noise=noise,
            policy_kwargs={"net_arch": [16]},
        )
        before = weights(model)
        model.learn(5 * N * T)
        assert not equal(before, weights(model))
        runs.append((model, replayed(model)))
    (one, seen), (other, sb3s) = runs
    assert one.replay_buffer.size() == 5 * T
    assert seen == sb3s
    assert equal(weights(one), weights(other))
    # The transitions are whole episodes: each row's next observation is the following row's
    # observation, but for the last, whose next observation is the terminal one.
    buffer = one.replay_buffer
    ends = np.arange(T - 1, 5 * T, T)
    assert np.flatnonzero(buffer.dones[: 5 * T].all(1)).tolist() == ends.tolist()
    assert not np.delete(buffer.dones[: 5 * T], ends, axis=0).any()
    assert (buffer.next_observations[ends][:, :, 0] == 1).all()
    inside = np.delete(np.arange(5 * T), ends)
    assert np.array_equal(buffer.next_observations[inside], buffer.observations[inside + 1])
    assert (buffer.rewards[ends] < 0).all()
    assert not np.delete(buffer.rewards[: 5 * T], ends, axis=0).any()


def test_ppo_learns_the_same_from_rescaled_actions() -> None:
    runs = []
    for make in (rescaled_ours, rescaled_theirs):
        model = PPO("MlpPolicy", make(), seed=1, device="cpu", n_steps=2 * T, batch_size=2 * T * N)
        assert model.action_space == gym.spaces.Box(-1, 1, (1,), np.float32)
        model.learn(2 * 2 * T * N)
        runs.append(model)
    one, other = runs
    for name in ("observations", "actions", "rewards", "episode_starts", "values", "advantages"):
        mine = getattr(one.rollout_buffer, name)
        assert mine.tobytes() == getattr(other.rollout_buffer, name).tobytes(), name
    assert equal(weights(one), weights(other))


def test_the_papers_replay_gives_each_environment_its_own_final_reward() -> None:
    model = TD3(
        "MlpPolicy",
        ours(),
        seed=0,
        device="cpu",
        train_freq=T,
        learning_starts=1000,
        buffer_size=1000,
        replay_buffer_class=EpisodeReturnReplayBuffer,
    )
    model.learn(2 * N * T)
    assert model.replay_buffer is not None
    rewards = model.replay_buffer.rewards[: 2 * T].reshape(2, T, N)
    assert (rewards == rewards[:, :1]).all()
    assert len(np.unique(rewards)) > 2


def test_one_episode_as_train_freq_is_refused_by_sb3() -> None:
    model = TD3("MlpPolicy", ours(), device="cpu", train_freq=(1, "episode"), buffer_size=10)
    with pytest.raises(AssertionError, match="only one env"):
        model.learn(1)


COUNTS_RIGHT = pytest.mark.skipif(
    Version(gym.__version__) < Version("1.4"),
    reason="Gymnasium's wrapper loses a step of each SAME_STEP episode before 1.4",
)


@pytest.mark.parametrize("where", [pytest.param("inside", marks=COUNTS_RIGHT), "outside"])
def test_episode_statistics_reach_sb3(where: str) -> None:
    envs: Any = gym.make_vec("AMC-MobileNet-v0", num_envs=N, **OPTIONS)
    if where == "inside":
        envs = AMCVecEnv(RecordEpisodeStatistics(envs))
    else:
        envs = VecMonitor(AMCVecEnv(envs))
    model: Any = PPO("MlpPolicy", envs, seed=0, device="cpu", n_steps=T, batch_size=N * T)
    model.learn(2 * N * T)
    assert len(model.ep_info_buffer) == 2 * N
    assert {int(episode["l"]) for episode in model.ep_info_buffer} == {T}
    assert [episode["r"] for episode in list(model.ep_info_buffer)[-N:]] == pytest.approx(
        model.rollout_buffer.rewards[-1]
    )


def test_sub_environments_can_be_reached() -> None:
    envs = ours(render_mode="rgb_array")
    envs.reset()
    envs.step(np.full((N, 1), 0.5, dtype=np.float32))
    assert envs.get_attr("action_mode", indices=[0, 2]) == ["clamp", "clamp"]
    envs.set_attr("colour", "blue", indices=1)
    assert envs.has_attr("action_mode")
    assert not envs.has_attr("colour")  # only one environment has it
    assert envs.get_attr("colour", 1) == ["blue"]
    assert [len(counts) for counts in envs.env_method("running")] == [1, 1, 1]
    assert envs.env_is_wrapped(Monitor) == [False] * N
    picture = envs.render()
    assert picture is not None
    assert picture.shape == (800, 1200, 3)  # four places for three pictures
    envs.set_options({"any": 1})
    with pytest.raises(ValueError, match="unknown reset option 'any'"):
        envs.reset()
    envs.set_options([{}, {"any": 1}, {}])
    with pytest.raises(ValueError, match="same options for all"):
        envs.reset()
    envs.close()
    assert envs.env.closed


def test_other_environments_are_refused() -> None:
    for env in (
        gym.make("AMC-MobileNet-v0", **OPTIONS),
        gym.make_vec("AMC-MobileNet-v0", num_envs=2, vectorization_mode="sync", **OPTIONS),
    ):
        with pytest.raises(TypeError, match=r"AMCVecEnv needs what gym\.make_vec"):
            AMCVecEnv(env)


def test_infos_are_unbatched_by_their_masks() -> None:
    infos = {
        "all": np.array([1, 2]),
        "one": np.array([0.0, 0.5]),
        "_one": np.array([False, True]),
        "inner": {"text": np.array(["a", None], dtype=object), "_text": np.array([True, False])},
        "_inner": np.array([True, False]),
    }
    assert unbatched(infos, 2) == [{"all": 1, "inner": {"text": "a"}}, {"all": 2, "one": 0.5}]
