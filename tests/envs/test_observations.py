"""Observations: numbers that mean the same on every network, and whole networks as graphs."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import FlattenObservation, RecordEpisodeStatistics, RescaleAction
from small import images, lively
from stable_baselines3 import SAC
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from torch import nn

from amc_gym import CompressionPlan, CompressionTask, validate
from amc_gym.envs.factory import make_env
from amc_gym.envs.observations.comparable import SIZE, features
from amc_gym.envs.observations.graph import DECIDED, MOST
from amc_gym.envs.rules import largest

NAMES = [name for name, _ in features()]


def seen(env: Any, action: float = 0.5, **options: Any) -> list[Any]:
    """Play an episode of equal actions and return its observations."""
    observations, over = [env.reset(options=options or None)[0]], False
    while not over:
        observation, _, over, _, _ = env.step(np.array([action], dtype=np.float32))
        observations.append(observation)
    return observations


@pytest.fixture(scope="module")
def comparable(plain_task: CompressionTask) -> Any:
    return gym.make("AMC-v0", task=plain_task, observation="comparable").unwrapped


@pytest.fixture(scope="module")
def graph(plain_task: CompressionTask) -> Any:
    return gym.make("AMC-v0", task=plain_task, observation="graph").unwrapped


# A policy with attention takes one row for each unit, so the arrays are not flat.
@pytest.mark.filterwarnings("ignore:Your observation .* has an unconventional shape:UserWarning")
@pytest.mark.parametrize("kind", ["comparable", "graph"])
def test_gymnasium_and_sb3_find_nothing_wrong(kind: str, request: Any) -> None:
    env = request.getfixturevalue(kind)
    check_env(env)
    sb3_check_env(env)
    wrapped = RecordEpisodeStatistics(RescaleAction(FlattenObservation(env), -1, 1))
    assert wrapped.observation_space.contains(wrapped.reset(seed=0)[0])
    for row in seen(env, 0.3):
        assert env.observation_space.contains(row)
    plan = CompressionPlan.from_json(env.plan.to_json())
    assert plan.options["observation"] == kind
    assert validate(env.task, plan).ok


def test_each_number_is_named_once(comparable: Any) -> None:
    assert comparable.observation_space == gym.spaces.Box(0, 1, (SIZE,), np.float32)
    assert len(NAMES) == len(set(NAMES)) == SIZE
    assert all(meaning for _, meaning in features())


def test_numbers_are_what_they_are_called(comparable: Any) -> None:
    budget, cost = comparable.budget, comparable.cost
    rows = seen(comparable, 0.25)
    kept = comparable.plan.counts
    uniform = largest(budget)
    for t, row in enumerate(rows[:-1]):
        found = dict(zip(NAMES, row.tolist(), strict=True))
        now = cost.total([*kept[:t], *budget.channels[t:]]) / cost.full
        assert found["position"] == pytest.approx(t / len(kept))
        assert found["channels"] == pytest.approx(np.log2(budget.channels[t]) / 12)
        assert found["budget"] == pytest.approx(0.5, abs=1e-3)
        assert found["ratio"] == pytest.approx(now)
        assert found["to save"] == pytest.approx(max(now - found["budget"], 0), abs=1e-6)
        assert found["uniform"] == pytest.approx(uniform[t] / budget.channels[t])
        least = comparable.problem.allocation.least_error
        assert found["least error"] == pytest.approx(least[t] / budget.channels[t])
        errors = [found[f"error at {share:g}"] for share in (0.125, 0.25, 0.5, 0.75, 0.875)]
        assert errors == sorted(errors, reverse=True)
        assert 0 < errors[-1] < errors[0] <= 1
        if t:
            assert found["before: channels"] == pytest.approx(np.log2(budget.channels[t - 1]) / 12)
            assert found["last"] == pytest.approx(kept[t - 1] / budget.channels[t - 1])
    last = dict(zip(NAMES, rows[-1].tolist(), strict=True))
    assert last["position"] == 1
    assert last["channels"] == last["after: channels"] == 0
    assert last["before: channels"] > 0


def test_the_budget_is_seen(comparable: Any) -> None:
    one, other = (seen(comparable, preserve_ratio=ratio)[0] for ratio in (0.4, 0.8))
    differ = {name for name, a, b in zip(NAMES, one, other, strict=True) if a != b}
    assert {"budget", "to save", "pressure", "uniform", "least error"} <= differ
    assert "channels" not in differ


def test_a_graph_is_a_chain_where_the_network_is_one(graph: Any, comparable: Any) -> None:
    n = graph.steps_per_episode
    rows, flat = seen(graph, 0.25), seen(comparable, 0.25)
    kept = np.array(graph.plan.counts) / graph.budget.channels
    for t, row in enumerate(rows):
        assert row["mask"].tolist() == [1] * n + [0] * (MOST - n)
        assert row["units"][:, 0].tolist() == [1] * t + [0] * (MOST - t)
        assert np.flatnonzero(row["units"][:, 1]).tolist() == ([t] if t < n else [])
        assert row["units"][:t, 2] == pytest.approx(kept[:t])
        assert (row["units"][t:n, 2] == 1).all()
        assert not row["units"][n:].any()
        assert np.argwhere(row["edges"]).tolist() == [[u, u + 1] for u in range(n - 1)]
        # The rest is what the other observation says of the episode and of the unit.
        told = len(row["episode"])
        assert (row["episode"] == flat[t][:told]).all()
        if t < n:
            unit = row["units"][t, len(DECIDED) :]
            assert (unit == flat[t][told : told + len(unit)]).all()


def test_a_policy_learns_from_a_graph(graph: Any) -> None:
    kwargs = {"learning_starts": 5, "batch_size": 2, "buffer_size": 50}
    model = SAC("MultiInputPolicy", graph, seed=0, policy_kwargs={"net_arch": [8]}, **kwargs)
    model.learn(2 * graph.steps_per_episode)
    assert model.predict(graph.reset()[0])[0].shape == (1,)


def test_a_network_with_more_units_is_refused() -> None:
    layers = [layer for _ in range(MOST + 1) for layer in (nn.Conv2d(3, 3, 1), nn.ReLU())]
    model = lively(nn.Sequential(*layers, nn.Flatten(), nn.Linear(48, 5)))
    task = CompressionTask(model, images(20, 1, 4), images(20, 2, 4), images(20, 3, 4))
    with pytest.raises(ValueError, match="holds 64 units, but the network has 65: choose"):
        make_env(task, observation="graph")
    assert make_env(task, observation="comparable").reset()[0].shape == (SIZE,)


@pytest.mark.parametrize("observation", ["comparable", "graph"])
def test_single_weights_are_refused(plain_task: CompressionTask, observation: str) -> None:
    options = {"granularity": "weight", "recovery": "none", "observation": observation}
    with pytest.raises(ValueError, match=f"observation='{observation}' needs the errors"):
        make_env(plain_task, **options)
