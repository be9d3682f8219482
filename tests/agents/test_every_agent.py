"""The contract that every registered agent keeps."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch

import agents
from agents.plans import amc


def home(factory: Any) -> str:
    """Return the name of the package in which a factory was defined."""
    while isinstance(factory, partial):
        factory = factory.func
    return factory.__module__.partition(".")[0]


# Left out: agents that other tests or users register, and policies, which need a file.
NAMES = sorted(
    name
    for name, each in agents.FACTORIES.items()
    if home(each.factory) == "agents" and each.kind != "policy"
)


@pytest.fixture(autouse=True)
def no_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    # PyTorch makes a folder of its own, once, where optimizers are first imported.
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith("torchinductor")]


def learn(name: str, env: gym.Env[Any, Any], seed: int, episodes: int = 4) -> agents.Result:
    return agents.make(name, env, seed).learn(episodes)


def decisions(result: agents.Result) -> list[tuple[float, tuple[int, ...]]]:
    return [(episode.reward, episode.channels) for episode in result.history]


def test_importing_the_package_registers_agents_of_every_kind() -> None:
    assert {agents.kind_of(name) for name in NAMES} == {"rule", "searcher", "learner"}
    assert {"amc-ddpg", "sb3-td3", "cma-es", "netadapt", "uniform"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_result_tells_what_happened(name: str, make_env: Any) -> None:
    env = make_env()
    limit, costs = amc(env).budget.limit, amc(env).engine.costs
    told: list[agents.Episode] = []
    result = agents.make(name, env, 0).learn(4, told.append)

    assert (result.agent, result.seed) == (name, 0)
    assert result.evaluations == (1 if agents.is_deterministic(name) else 4)
    assert tuple(told) == result.history
    assert 0 < result.environment_seconds <= result.seconds
    assert limit is not None
    for episode in result.history:
        assert episode.macs == costs["macs"].total(episode.channels) <= limit
        assert episode.params == costs["params"].total(episode.channels)
        assert episode.reward == episode.accuracy
    assert all(a.seconds < b.seconds for a, b in itertools.pairwise(result.history))

    best = result.best_episode
    assert best.reward == max(episode.reward for episode in result.history)
    assert result.best.counts == best.channels
    assert result.best.measured.macs == best.macs
    assert result.best.measured.accuracy == best.accuracy


@pytest.mark.parametrize("name", NAMES)
def test_seed_decides_everything(name: str, make_env: Any) -> None:
    torch.manual_seed(1)
    first = learn(name, make_env(), seed=7)
    torch.manual_seed(2)  # whatever the process did before
    assert decisions(learn(name, make_env(), seed=7)) == decisions(first)
    other = decisions(learn(name, make_env(), seed=8))
    assert (other == decisions(first)) == agents.is_deterministic(name)


@pytest.mark.parametrize("name", NAMES)
def test_one_episode_is_enough(name: str, make_env: Any) -> None:
    assert learn(name, make_env(), seed=0, episodes=1).evaluations == 1
