"""Stable-Baselines3's agents: hyper-parameters, warm-up, noise, and their budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from stable_baselines3 import DDPG, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise

from agents.amc_ddpg import PAPER
from agents.noise import ActionNoiseDecay
from agents.plans import steps_per_episode
from agents.replay import EpisodeReturnReplayBuffer
from agents.sb3 import ALGORITHMS, HYPERPARAMS, SB3, arguments, callbacks, named_class, read_row

CLASSES = {"ddpg": DDPG, "td3": TD3, "sac": SAC}


def learner(env: Any, algorithm: str, row: str) -> SB3:
    return SB3(env, 0, algorithm=algorithm, hyperparams=row, warmup_episodes=100)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_paper_rows_hold_the_papers_values(algorithm: str, make_env: Any) -> None:
    env = make_env()
    model = learner(env, algorithm, "paper").model
    assert type(model) is CLASSES[algorithm]
    assert (model.gamma, model.tau, model.batch_size, model.buffer_size) == (
        PAPER.gamma,
        PAPER.tau,
        PAPER.batch_size,
        PAPER.replay_size,
    )
    assert model.policy_kwargs["net_arch"] == [PAPER.hidden, PAPER.hidden]
    assert isinstance(model.replay_buffer, EpisodeReturnReplayBuffer)
    assert model.replay_buffer.baseline_rate == PAPER.baseline_rate
    assert model.device.type == "cpu"
    noise = model.action_noise
    if algorithm == "sac":
        assert noise is None
    else:
        assert isinstance(noise, NormalActionNoise)
        assert noise._sigma.tolist() == [2 * PAPER.sigma]  # [-1, 1] is twice as long as [0, 1]
        (decay,) = callbacks(read_row(HYPERPARAMS / "paper" / f"{algorithm}.yml", None)["callback"])
        assert decay.final_std == 2 * PAPER.final_sigma


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("folder", ["paper", "sb3"])
def test_rows_count_steps_of_the_default_environment(
    algorithm: str, folder: str, make_env: Any
) -> None:
    rows = yaml.safe_load((HYPERPARAMS / folder / f"{algorithm}.yml").read_text())
    assert set(rows) == {"default", "AMC-MobileNet-v0"}
    for row in rows.values():
        steps = steps_per_episode(make_env())
        assert row["n_timesteps"] == 400 * steps
        assert row.get("learning_starts", 100 * steps) == 100 * steps


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_default_rows_are_sb3s_own(algorithm: str, make_env: Any) -> None:
    env = make_env()
    ours = SB3(env, 0, algorithm=algorithm, hyperparams="sb3").model
    theirs = CLASSES[algorithm]("MlpPolicy", env)
    for name in ("gamma", "tau", "batch_size", "buffer_size", "learning_starts", "action_noise"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert type(ours.replay_buffer) is type(theirs.replay_buffer)
    assert ours.train_freq == theirs.train_freq


def test_warm_up_is_counted_in_episodes_and_scaled(make_env: Any) -> None:
    agent = learner(make_env(), "ddpg", "paper")
    buffer = agent.model.replay_buffer
    assert buffer is not None
    before = [weights.clone() for weights in agent.model.policy.parameters()]
    agent.learn(7)  # a quarter is warm-up: one episode, 14 steps
    assert agent.model.learning_starts == 14
    assert agent.model._n_updates == 6 * 14
    assert agent.model.num_timesteps == buffer.size() == 7 * 14
    assert any((a != b).any() for a, b in zip(before, agent.model.policy.parameters(), strict=True))


def test_warm_up_takes_no_more_than_the_papers(make_env: Any, monkeypatch: Any) -> None:
    agent = learner(make_env(), "ddpg", "paper")
    monkeypatch.setattr(agent.model, "learn", lambda *args, **kwargs: None)
    agent.learn(10_000)
    assert agent.model.learning_starts == 100 * 14


class Stds(BaseCallback):
    """A callback that records the noise of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def _on_step(self) -> bool:
        self.seen.append(self.model.action_noise._sigma.item())  # type: ignore[attr-defined]
        return True


def test_noise_is_constant_and_then_decays_to_the_final_one(make_env: Any) -> None:
    agent = learner(make_env(), "td3", "paper")
    agent.model.learning_starts = 28
    stds = Stds()
    agent.model.learn(84, callback=[ActionNoiseDecay(0.1), stds])
    # Rollouts are episodes of 14 steps, so progress is 0, 0, 0, 1/4, 1/2 and 3/4 at their starts.
    expected = np.repeat([0.1**x for x in (0, 0, 0, 0.25, 0.5, 0.75)], 14)
    assert stds.seen == pytest.approx(expected)
    assert agent.model.action_noise._sigma.item() == 1.0  # type: ignore[union-attr]  # as before


@pytest.mark.parametrize(
    "noise",
    [
        None,
        NormalActionNoise(np.zeros(1), np.full(1, 0.05)),
        OrnsteinUhlenbeckActionNoise(np.zeros(1), np.ones(1)),
    ],
)
def test_noise_that_cannot_decay_is_refused(make_env: Any, noise: Any) -> None:
    model = DDPG("MlpPolicy", make_env(), action_noise=noise, buffer_size=10, device="cpu")
    with pytest.raises(ValueError, match="ActionNoiseDecay needs NormalActionNoise"):
        model.learn(1, callback=ActionNoiseDecay(0.1))
    with pytest.raises(ValueError, match="positive"):
        ActionNoiseDecay(0.0)


def test_rows_are_chosen_by_environment(tmp_path: Path) -> None:
    path = tmp_path / "ddpg.yml"
    path.write_text("default: {tau: 0.1}\nAMC-v0: {tau: 0.2}\n")
    assert read_row(path, "AMC-v0") == {"tau": 0.2}
    assert read_row(path, "AMC-Other-v0") == read_row(path, None) == {"tau": 0.1}


@pytest.mark.parametrize(
    "name",
    ["agents.noise.ActionNoiseDecay", 'importlib.import_module("agents.noise").ActionNoiseDecay'],
)
def test_classes_are_found_by_name(name: str) -> None:
    assert named_class(name) is ActionNoiseDecay
    (made,) = callbacks({name: {"final_std": 0.5}})
    assert made.final_std == 0.5
    assert callbacks(None) == []


@pytest.mark.parametrize("code", ["print('evaluated')", "__import__('os').system", "Decay", ""])
def test_code_is_never_evaluated(code: str, capsys: Any, make_env: Any) -> None:
    with pytest.raises(ValueError, match=r"write package\.module\.Class"):
        named_class(code)
    with pytest.raises(ValueError, match="would have to be evaluated"):
        arguments({"policy_kwargs": "dict(net_arch=[400, 300])"}, make_env())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "row",
    [{"n_envs": 2}, {"normalize": True}, {"noise_type": "ornstein-uhlenbeck", "noise_std": 1}],
)
def test_what_only_rl_zoo3_does_is_refused(row: dict[str, Any], make_env: Any) -> None:
    with pytest.raises(ValueError, match=r"rl_zoo3|not available"):
        arguments(row, make_env())
