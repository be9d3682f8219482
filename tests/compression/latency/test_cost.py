"""Latency as a resource: worked out by hand, monotone, for one plan or many, in environments."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import amc_gym
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.latency.layers import geometries
from amc_gym.compression.latency.table import Device, Grid, LatencyTable
from amc_gym.compression.latency.timing import LatencyError
from amc_gym.compression.plan import CompressionPlan
from amc_gym.engine.cache import engines
from amc_gym.envs.rewards import error_log

DEVICE = Device("Some processor", "torch", "2.9", 1, 1)


def table_for(task: Any, seed: int = 0) -> LatencyTable:
    """Make a table of random times that rise unevenly with the channels, on a random grid."""
    rng = np.random.default_rng(seed)
    graph = engines.analysis(task).graph
    points: dict[str, tuple[set[int], set[int]]] = {}
    for name, geometry in geometries(task.model, graph).items():
        layer = graph.layers[name]
        inputs, outputs = points.setdefault(geometry.key, (set(), set()))
        for found, axis in ((inputs, layer.inputs), (outputs, layer.outputs)):
            n = 1 if axis is None else len(axis)
            found |= {n} if axis is None or not axis.units else {max(1, n // 5), n // 2 + 1, n}
    grids = {}
    for key, (inputs, outputs) in points.items():
        shape = len(inputs), len(outputs)
        ns = rng.integers(1, 10_000, shape).cumsum(0).cumsum(1)
        grids[key] = Grid.of(tuple(sorted(inputs)), tuple(sorted(outputs)), ns)
    return LatencyTable(DEVICE, grids, overhead=123, portable=True)


def cost_of(task: Any) -> LatencyCost:
    graph = engines.analysis(task).graph
    return LatencyCost(graph, geometries(task.model, graph), table_for(task))


def plans(graph: Any, n: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.stack([[rng.integers(1, c + 1) for c in graph.full] for _ in range(n)])


def test_between_the_points_of_a_grid_by_hand(plain_task: Any) -> None:
    cost, graph = cost_of(plain_task), engines.analysis(plain_task).graph
    found = geometries(plain_task.model, graph)
    counts = (5, 7, 6, 11)
    widths = {  # of PlainStack: channels in and out
        "first": (3, 5),
        "depthwise": (1, 5),
        "second": (5, 7),
        "third": (7, 6),
        "hidden": (4 * 6, 11),
        "classifier": (11, 5),
    }
    per_layer = dict(zip(cost.names, cost.per_layer(counts), strict=True))
    for name, (i, o) in widths.items():
        grid = cost.table.grids[found[name].key]
        along = [np.interp(o, grid.outputs, row) for row in np.array(grid.ns, dtype=float)]
        expected = np.interp(i, grid.inputs, along)
        assert expected - 1 < per_layer.pop(name) <= expected + 1e-6
    assert set(per_layer.values()) == {0}  # norms
    assert cost.total(counts) == cost.per_layer(counts).sum() + 123
    assert cost.full == cost.total(graph.full)


def test_it_never_falls_when_a_channel_is_added(plain_task: Any) -> None:
    cost, graph = cost_of(plain_task), engines.analysis(plain_task).graph
    for counts in plans(graph, 30):
        before = cost.total(counts)
        for unit in range(len(counts)):
            more = counts + (np.arange(len(counts)) == unit)
            if more[unit] <= graph.full[unit]:
                assert cost.total(more) >= before


def test_many_plans_at_once_cost_the_same(plain_task: Any) -> None:
    cost, graph = cost_of(plain_task), engines.analysis(plain_task).graph
    many = plans(graph, 40)
    assert cost.totals(many).tolist() == [cost.total(plan) for plan in many]


@pytest.fixture
def env_of(tmp_path: Path, digits_task: Any) -> Any:
    path = table_for(digits_task).save(tmp_path / "table.json")

    def make(**options: Any) -> Any:
        options = {"resource": "latency", "latency_table": path, "reward_images": 20} | options
        return gym.make("AMC-MobileNet-v0", **options)

    return make


@pytest.mark.parametrize("action_mode", ["clamp", "feasible"])
@pytest.mark.parametrize("ratio", [0.5, 0.8])
def test_the_budget_holds_in_nanoseconds(env_of: Any, ratio: float, action_mode: str) -> None:
    env = env_of(preserve_ratio=ratio, action_mode=action_mode)
    inner, rng = env.unwrapped, np.random.default_rng(0)
    for kind in range(4):
        env.reset()
        over = False
        while not over:
            action = [0.0] if kind == 0 else rng.random(1)
            observation, _, over, _, info = env.step(np.array(action))
            assert env.observation_space.contains(observation)
        assert info["latency_ns"] == inner.cost.total(inner.plan.counts) <= inner.budget.limit
        assert info["latency_ratio"] == info["latency_ns"] / inner.cost.full <= ratio
        assert inner.plan.measured.latency_ns == info["latency_ns"]


def test_many_environments_at_once_are_the_same(env_of: Any) -> None:
    env = env_of(preserve_ratio=0.6)
    envs = gym.make_vec("AMC-MobileNet-v0", num_envs=3, **env.spec.kwargs)
    actions = np.random.default_rng(3).random((14, 3, 1), dtype=np.float32)
    envs.reset(seed=0)
    for step in actions:
        observations, rewards, *_, infos = envs.step(step)
    for i in range(3):
        env.reset()
        for step in actions:
            observation, reward, _, _, info = env.step(step[i])
        final = infos["final_info"]
        assert (final["latency_ns"][i], rewards[i]) == (info["latency_ns"], reward)
        np.testing.assert_array_equal(infos["final_obs"][i], observation)
        assert observations.shape == (3, 11)


def test_plans_say_whose_latency_it_was(env_of: Any, tmp_path: Path) -> None:
    env = env_of(preserve_ratio=0.7)
    env.reset()
    while not env.step(np.array([0.3]))[2]:
        pass
    plan = env.unwrapped.plan
    assert plan.options["latency"]["device"] == str(DEVICE)
    again = CompressionPlan.load(plan.save(tmp_path / "plan.json"))
    assert amc_gym.validate(env.unwrapped.task, again).ok


def test_the_reward_takes_the_logarithm_of_nanoseconds(env_of: Any) -> None:
    env = env_of(resource="macs", preserve_ratio=None, reward="error-log-latency")
    env.reset()
    for _ in range(14):
        _, reward, _, _, info = env.step(np.array([0.5]))
    assert info["latency_ns"] > 1000
    assert reward == (info["accuracy"] - 1) * np.log(info["latency_ns"])
    with pytest.raises(ValueError, match="above 1"):
        error_log(0.9, 1)


def test_two_environments_share_their_latency(env_of: Any) -> None:
    one, other = env_of(preserve_ratio=0.5), env_of(preserve_ratio=0.6)
    assert one.unwrapped.cost is other.unwrapped.cost


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"resource": "macs"}, ValueError, "use them with resource='latency'"),
        ({"runtime": "onnx"}, LatencyError, "was measured with runtime 'torch', not 'onnx'"),
        ({"runtime": "tflite"}, ValueError, "unknown runtime"),
        ({"granularity": "weight", "recovery": "none"}, ValueError, "no runtime faster"),
        ({"latency_table": "nowhere.json"}, OSError, "nowhere"),
        ({"preserve_ratio": 0.01}, ValueError, "infeasible"),
    ],
)
def test_options_that_do_not_fit_each_other_are_refused(
    env_of: Any, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        env_of(**options)


def test_a_table_of_another_network_is_refused(
    env_of: Any, tmp_path: Path, plain_task: Any
) -> None:
    other = table_for(plain_task).save(tmp_path / "other.json")
    with pytest.raises(LatencyError, match="of another network"):
        env_of(latency_table=other)


def test_invented_tables_differ(plain_task: Any) -> None:
    prints = [table_for(plain_task, seed).fingerprint for seed in (0, 0, 1)]
    assert [a == b for a, b in itertools.pairwise(prints)] == [True, False]
