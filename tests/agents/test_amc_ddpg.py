"""The paper's agent: exploration, schedule, replay and update, against worked-out values."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from scipy.stats import truncnorm

from agents.amc_ddpg import AMCDDPG, CODE, PAPER, Critic, Options, Replay, truncated_normal

EXECUTED = replace(PAPER, stored_action="executed")
UNIFORM = (np.arange(2000) + 0.5) / 2000  # midpoints: a mean over them is an integral


@pytest.mark.parametrize("mean", [0.0, 0.03, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("sigma", [1e-4, 0.1, 0.5, 5.0])
def test_truncated_normal_is_the_one_of_scipy(mean: float, sigma: float) -> None:
    draws = np.array([truncated_normal(mean, sigma, u) for u in UNIFORM])
    assert draws.min() >= 0
    assert draws.max() <= 1
    exact = truncnorm(-mean / sigma, (1 - mean) / sigma, loc=mean, scale=sigma)
    assert draws.mean() == pytest.approx(exact.mean(), abs=2e-4)
    assert draws.std() == pytest.approx(exact.std(), abs=1e-3)


def test_truncated_normal_stays_in_range_at_the_ends() -> None:
    ends = [truncated_normal(m, s, u) for m in (0, 1) for s in (1e-6, 1) for u in (0.0, 1.0)]
    assert all(0 <= end <= 1 for end in ends)  # false for NaN


def test_schedule_of_the_paper() -> None:
    assert PAPER.warmup(400) == PAPER.warmup(800) == 100
    sigmas = [PAPER.sigma_at(episode, 400) for episode in range(400)]
    assert sigmas[:101] == [0.5] * 101
    assert sigmas[-1] == pytest.approx(PAPER.final_sigma)
    factors = np.array(sigmas[101:]) / np.array(sigmas[100:-1])
    assert factors == pytest.approx(np.full(299, factors[0]))
    assert factors[0] < 1


def test_schedule_of_the_code() -> None:
    assert CODE.sigma_at(99, 800) == CODE.sigma_at(100, 800) == 0.5
    assert CODE.sigma_at(102, 800) == pytest.approx(0.5 * 0.95**2)
    assert CODE.sigma_at(10**6, 10**7) > 0


@pytest.mark.parametrize("options", [PAPER, CODE])
@pytest.mark.parametrize("budget", [1, 2, 3, 7, 200])
def test_short_budgets_warm_up_for_a_quarter(options: Options, budget: int) -> None:
    assert options.warmup(budget) == budget // 4
    sigmas = [options.sigma_at(episode, budget) for episode in range(budget)]
    assert sigmas == sorted(sigmas, reverse=True)
    assert all(0 < sigma <= 0.5 for sigma in sigmas)


@pytest.mark.parametrize(
    "wrong",
    [
        {"warmup_actions": "normal"},
        {"baseline": "episode"},
        {"stored_action": "clamped"},
        {"critic_action_layer": 3},
        {"final_sigma": 0.0},
        {"sigma": 0.001},
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|need|unknown"):
        Options(**wrong)


def test_replay_gives_every_transition_the_final_reward() -> None:
    replay = Replay(size=5, features=2)
    replay.add(np.arange(8).reshape(4, 2), np.array([0.1, 0.2, 0.3]), reward=0.7)
    state, action, reward, more, next_state = (
        t.tolist() for t in replay.table.split([2, 1, 1, 1, 2], 1)
    )
    assert state[:3] == [[0, 1], [2, 3], [4, 5]]
    assert next_state[:3] == [[2, 3], [4, 5], [6, 7]]
    assert np.ravel(action[:3]) == pytest.approx([0.1, 0.2, 0.3])
    assert np.ravel(reward[:3]) == pytest.approx([0.7] * 3)
    assert np.ravel(more[:3]).tolist() == [1, 1, 0]
    # Three more wrap around: slots 3, 4 and 0.
    replay.add(np.zeros((4, 2)), np.zeros(3), reward=0.9)
    assert replay.table[:, 3].tolist() == pytest.approx([0.9, 0.7, 0.7, 0.9, 0.9])
    drawn = replay.sample(500, np.random.default_rng(0))[2]
    assert set(drawn.flatten().tolist()) == set(replay.table[:, 3].tolist())


def test_replay_draws_only_what_was_added() -> None:
    replay = Replay(size=100, features=1)
    replay.add(np.ones((3, 1)), np.ones(2), reward=1.0)
    assert replay.sample(200, np.random.default_rng(0))[2].min() == 1


@pytest.mark.parametrize("action_layer", [1, 2])
def test_action_enters_the_layer_it_is_said_to(action_layer: int) -> None:
    critic = Critic(features=3, hidden=8, action_layer=action_layer)
    with torch.no_grad():
        critic.second.weight.zero_()  # nothing passes the second layer any more
        state = torch.ones(1, 3)
        values = [critic(state, torch.tensor([[a]])).item() for a in (0.0, 1.0)]
    assert (values[0] == values[1]) == (action_layer == 1)


@pytest.mark.parametrize(
    ("baseline", "expected"),
    # By episodes: rewards 1, 0, so 1 + 0.25 (0 - 1).  By batches, the mean of the one batch depends
    # on what was drawn; all that is known is that the baseline starts there.
    [("episodes", 0.75), ("batches", None)],
)
def test_baseline_follows_past_rewards(make_env: Any, baseline: str, expected: Any) -> None:
    agent = AMCDDPG(make_env(), 0, replace(PAPER, baseline=baseline, baseline_rate=0.25))
    states = np.zeros((15, 11), dtype=np.float32)
    for reward in (1.0, 0.0):
        agent.replay.add(states, np.zeros(14, dtype=np.float32), reward)
        if baseline == "episodes":
            agent._average(reward)
    rng = copy.deepcopy(agent.rng)
    agent._update()
    if expected is None:
        expected = agent.replay.sample(PAPER.batch_size, rng)[2].mean().item()
    assert agent.baseline == pytest.approx(expected)


def test_update_descends_the_equations_of_the_paper(make_env: Any) -> None:
    """Compare one update with autograd and Adam on copies, written from the equations."""
    agent = AMCDDPG(make_env(), 3, replace(PAPER, hidden=16, gamma=0.9, tau=0.1))
    rng = np.random.default_rng(0)
    agent.replay.add(rng.random((15, 11)), rng.random(14), reward=0.6)
    agent.baseline = 0.25
    for weights in agent.targets.parameters():
        weights.mul_(1.5)  # so that targets and networks differ
    actor, critic = copy.deepcopy(agent.actor), copy.deepcopy(agent.critic)
    target_actor, target_critic = copy.deepcopy(agent.targets)
    state, action, reward, more, following = agent.replay.sample(64, copy.deepcopy(agent.rng))
    agent._update()

    y = reward - 0.25 + 0.9 * more * target_critic(following, target_actor(following))
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3)
    ((critic(state, action) - y) ** 2).mean().backward()
    optimizer.step()
    optimizer = torch.optim.Adam(actor.parameters(), lr=1e-4)
    (-critic(state, actor(state))).mean().backward()
    optimizer.step()
    for ours, theirs, target in (
        (agent.actor, actor, target_actor),
        (agent.critic, critic, target_critic),
    ):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b)
        moved = agent.targets[0 if ours is agent.actor else 1]
        for a, b, old in zip(
            moved.parameters(), theirs.parameters(), target.parameters(), strict=True
        ):
            torch.testing.assert_close(a, old + 0.1 * (b - old))


@pytest.mark.parametrize(
    ("options", "action_mode", "executed"),
    [(EXECUTED, "clamp", True), (PAPER, "clamp", False), (EXECUTED, "feasible", False)],
)
def test_stored_action(make_env: Any, options: Options, action_mode: str, executed: bool) -> None:
    agent = AMCDDPG(make_env(action_mode=action_mode), 0, options)
    agent.learn(1)
    stored = agent.replay.table[: agent.steps, 11].numpy()
    # The observation's last feature is the sparsity that was executed the step before.
    following = agent.replay.table[: agent.steps, -1].numpy()
    assert np.array_equal(stored, following) == executed


def test_warm_up_does_not_learn(make_env: Any) -> None:
    agent = AMCDDPG(make_env(), 0, replace(PAPER, warmup_episodes=1))
    before = copy.deepcopy(agent.actor.state_dict())
    agent.learn(4)  # the first of them is warm-up
    assert not torch.equal(before["0.weight"], agent.actor.state_dict()["0.weight"])
    agent = AMCDDPG(make_env(), 0)
    agent.options = replace(PAPER, warmup_episodes=10**6)
    agent._episode(0.5)
    assert torch.equal(before["0.weight"], agent.actor.state_dict()["0.weight"])


def test_replay_size(make_env: Any) -> None:
    assert AMCDDPG(make_env(), 0, PAPER).replay.size == 2000
    assert AMCDDPG(make_env(), 0, CODE).replay.size == 100 * 14


def test_global_random_state_is_left_alone(make_env: Any) -> None:
    state = torch.random.get_rng_state()
    AMCDDPG(make_env(), 0).learn(1)
    assert torch.equal(state, torch.random.get_rng_state())


def test_it_learns_where_pruning_one_unit_pays(make_env: Any) -> None:
    """Reward the first unit's sparsity: the agent has to find out that 1 is best."""

    class FirstUnit(gym.Wrapper[Any, Any, Any, Any]):
        def reset(self, **kwargs: Any) -> Any:
            self.first: float | None = None
            return super().reset(**kwargs)

        def step(self, action: Any) -> Any:
            observation, _, over, truncated, info = super().step(action)
            self.first = float(action[0]) if self.first is None else self.first
            return observation, self.first if over else 0.0, over, truncated, info

    env = FirstUnit(make_env(reward_images=1, preserve_ratio=None))
    agent = AMCDDPG(env, 0, replace(PAPER, hidden=32, actor_lr=1e-3))
    agent.learn(40)
    start, _ = env.reset()
    assert agent.actor(torch.from_numpy(start)).item() > 0.8
