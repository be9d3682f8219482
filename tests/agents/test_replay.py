"""The replay buffer that stores an episode's return, against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from agents.replay import EpisodeReturnReplayBuffer

OBSERVATION = spaces.Box(0, 1, (2,), np.float32)
ACTION = spaces.Box(0, 1, (1,), np.float32)


def buffer(
    size: int = 10, n_envs: int = 1, rate: float | None = None, **kwargs: bool
) -> EpisodeReturnReplayBuffer:
    return EpisodeReturnReplayBuffer(
        size, OBSERVATION, ACTION, "cpu", n_envs, baseline_rate=rate, **kwargs
    )


def add(to: EpisodeReturnReplayBuffer, step: int, rewards: list[float], done: list[bool]) -> None:
    n = len(rewards)
    to.add(
        np.full((n, 2), step, np.float32),
        np.full((n, 2), step + 1, np.float32),
        np.full((n, 1), step / 10, np.float32),
        np.array(rewards),
        np.array(done),
        [{} for _ in range(n)],
    )


def episode(to: EpisodeReturnReplayBuffer, rewards: list[float]) -> None:
    for step, reward in enumerate(rewards):
        add(to, step, [reward], [step == len(rewards) - 1])


def test_transitions_get_the_final_reward_when_the_episode_is_done() -> None:
    replay = buffer()
    add(replay, 0, [0.0], [False])
    add(replay, 1, [0.5], [False])
    assert replay.size() == 0
    add(replay, 2, [0.75], [True])
    assert replay.size() == 3
    assert replay.rewards[:3, 0].tolist() == [0.75, 0.75, 0.75]
    assert replay.dones[:3, 0].tolist() == [0, 0, 1]
    assert replay.observations[:3, 0, 0].tolist() == [0, 1, 2]
    assert replay.next_observations[:3, 0, 0].tolist() == [1, 2, 3]
    assert replay.actions[:3, 0, 0] == pytest.approx([0.0, 0.1, 0.2])
    episode(replay, [0.0, 0.25])
    assert replay.rewards[:5, 0].tolist() == [0.75] * 3 + [0.25] * 2


def test_old_transitions_give_way() -> None:
    replay = buffer(size=4)
    episode(replay, [0, 0, 1])
    episode(replay, [0, 2])
    assert replay.rewards[:, 0].tolist() == [2, 1, 1, 2]


def test_baseline_is_an_average_of_past_rewards_subtracted_from_all() -> None:
    replay = buffer(rate=0.25)
    episode(replay, [0.0, 0.8])
    assert replay.baseline == pytest.approx(0.8)
    assert replay.sample(20).rewards.flatten().tolist() == pytest.approx([0.0] * 20)
    episode(replay, [0.0, 0.4])  # 0.8 + 0.25 (0.4 - 0.8) = 0.7
    assert replay.baseline == pytest.approx(0.7)
    rewards = replay.sample(100).rewards.flatten().numpy()
    assert np.unique(rewards.round(6)) == pytest.approx([-0.3, 0.1])
    assert replay.rewards[:4, 0] == pytest.approx([0.8, 0.8, 0.4, 0.4])  # stored as they were


def test_without_a_baseline_rewards_are_raw() -> None:
    replay = buffer()
    episode(replay, [0.0, 0.8])
    assert replay.baseline is None
    assert replay.sample(5).rewards.flatten().tolist() == pytest.approx([0.8] * 5)


def test_arrays_may_be_written_on_after_they_were_added() -> None:
    replay = buffer()
    observation = np.zeros((1, 2), np.float32)
    empty = [{}]
    replay.add(observation, observation, np.zeros((1, 1)), np.zeros(1), np.array([False]), empty)
    observation += 7
    replay.add(observation, observation, np.zeros((1, 1)), np.ones(1), np.array([True]), empty)
    assert replay.observations[:2, 0, 0].tolist() == [0, 7]


def test_environments_that_end_together_keep_their_own_rewards() -> None:
    replay = buffer(size=20, n_envs=2, rate=0.5)
    add(replay, 0, [0.0, 0.0], [False, False])
    add(replay, 1, [0.6, 0.2], [True, True])
    assert replay.rewards[:2] == pytest.approx(np.array([[0.6, 0.2], [0.6, 0.2]]))
    assert replay.baseline == pytest.approx(0.4)  # 0.6 + 0.5 (0.2 - 0.6)


def test_environments_that_end_apart_are_refused() -> None:
    replay = buffer(n_envs=2)
    with pytest.raises(RuntimeError, match="end together: use one environment"):
        add(replay, 0, [1.0, 0.0], [True, False])


def test_sampling_before_the_first_episode_is_done_says_what_to_do() -> None:
    replay = buffer()
    add(replay, 0, [0.0], [False])
    with pytest.raises(RuntimeError, match="learning_starts"):
        replay.sample(1)


def test_reset_forgets_the_unfinished_episode() -> None:
    replay = buffer(rate=0.5)
    episode(replay, [1.0])
    add(replay, 0, [0.0], [False])
    replay.reset()
    assert (replay.size(), replay.baseline) == (0, None)
    episode(replay, [0.5])
    assert replay.size() == 1


def test_memory_saving_layout_holds_the_same() -> None:
    replay = buffer(optimize_memory_usage=True, handle_timeout_termination=False)
    episode(replay, [0.0, 0.0, 1.0])
    assert replay.rewards[:3, 0].tolist() == [1, 1, 1]
    assert replay.observations[:4, 0, 0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.5])
def test_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="baseline_rate"):
        buffer(rate=rate)
