"""Weight pruning: least magnitude first, counted in non-zero parameters, also in stages."""

import copy

import numpy as np
import pytest
import torch
from small import play

import amc_gym
from amc_gym import CompressionTask
from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.pruning.fine_grained import (
    densities,
    magnitude_order,
    nonzero_params,
    sparse,
    weight_graph,
)
from amc_gym.compression.tracing import trace
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.factory import make_env

LAYERS = ["first", "depthwise", "second", "third", "hidden", "classifier"]
SIZES = [3 * 12 * 9, 12 * 9, 12 * 10 * 9, 10 * 8 * 25, 32 * 20, 20 * 5]


def weights(env: AMCEnv, actions: list[float]):
    return play(env, actions)[-1]


def test_every_layer_that_multiplies_is_a_unit(plain_task):
    graph = weight_graph(plain_task.model, trace(plain_task.model, plain_task.example))
    assert [(u.name, u.channels) for u in graph.units] == list(zip(LAYERS, SIZES, strict=True))
    assert [u.inputs for u in graph.units] == [3, 12, 12, 10, 32, 20]


def test_least_magnitudes_become_zero_and_ties_keep_the_first():
    weight = torch.tensor([[0.5, -2.0, 0.0], [2.0, 0.1, -0.5]])
    assert magnitude_order(weight).tolist() == [1, 3, 0, 5, 4]


def test_costs_are_the_counts_of_the_masked_network(plain_task):
    model = plain_task.model
    graph = weight_graph(model, trace(model, plain_task.example))
    rng = np.random.default_rng(0)
    counts = {u.name: int(rng.integers(1, u.channels + 1)) for u in graph.units}
    small = sparse(model, counts)
    left = {n: int((small.get_submodule(n).weight != 0).sum()) for n in counts}
    assert left == counts
    listed = list(counts.values())
    assert RESOURCES["params"].of_weights(model, graph).total(listed) == nonzero_params(small)
    full = RESOURCES["params"].of_weights(model, graph).full
    assert full == nonzero_params(model) == sum(p.numel() for p in model.parameters())
    macs = RESOURCES["macs"].of_weights(model, graph).total(listed)
    sites = {"first": 64, "depthwise": 16, "second": 16, "third": 4, "hidden": 1, "classifier": 1}
    assert macs == sum(counts[name] * sites[name] for name in LAYERS)
    assert densities(small, graph)["second"] == counts["second"] / SIZES[2]


def test_the_budget_of_algorithm_1_as_printed(plain_task):
    """Check linear costs: the executed ratio is max(a, duty / W_t), rounded to whole weights."""
    env = make_env(plain_task, granularity="weight", resource="params", recovery="none")
    assert env.options["max_sparsity"] == {"conv": 0.8, "linear": 0.98}
    kept = [play(env, [0.0] * 6)[-1]["params_ratio"]]
    assert kept[0] <= 0.5
    total = env.engine.costs["params"].full
    assert env.engine.costs["params"].total(env.plan.counts) == int(0.5 * total)
    reduced, executed = 0.0, []
    a_max = [0.8] * 4 + [0.98] * 2
    for t, size in enumerate(SIZES):
        later = sum(a * s for a, s in zip(a_max[t + 1 :], SIZES[t + 1 :], strict=True))
        duty = 0.5 * total - later - reduced
        ratio = min(a_max[t], max(0.0, duty / size))
        reduced += ratio * size
        executed.append(size * (1 - ratio))
    assert env.plan.counts == pytest.approx(executed, abs=len(SIZES))


def test_an_episode_its_plan_and_its_replay(plain_task, tmp_path):
    env = make_env(
        plain_task, granularity="weight", resource="params", recovery="none", preserve_ratio=0.4
    )
    *_, info = play(env, [0.5] * 6)
    assert info["weights"] == env.plan.weights["classifier"]
    assert "channels" not in info
    plan = amc_gym.CompressionPlan.load(env.plan.save(tmp_path / "plan.json"))
    assert plan == env.plan
    network = amc_gym.compress(plain_task, plan)
    assert nonzero_params(network) == info["params"]
    with torch.inference_mode():
        fast = env.engine.evaluator.network(plan.counts)(plain_task.reward.images)
        torch.testing.assert_close(fast, network(plain_task.reward.images), rtol=1e-3, atol=1e-3)
    assert amc_gym.validate(plain_task, plan).ok


def test_a_second_stage_decides_on_what_the_first_has_left(plain_task):
    options = {"granularity": "weight", "resource": "params", "recovery": "none"}
    first = make_env(plain_task, preserve_ratio=0.5, **options)
    play(first, [0.5] * 6)
    task = CompressionTask(
        amc_gym.compress(plain_task, first.plan),
        plain_task.calibration,
        plain_task.reward,
        plain_task.test,
    )
    second = make_env(task, preserve_ratio=0.5, **options)
    assert second.budget.channels == first.plan.counts
    play(second, [0.5] * 6)
    small = amc_gym.compress(task, second.plan)
    assert nonzero_params(small) <= 0.25 * nonzero_params(plain_task.model)
    kept = amc_gym.compress(plain_task, first.plan).state_dict()
    for name, weight in small.state_dict().items():
        assert ((weight == 0) | (weight == kept[name])).all()


@pytest.mark.parametrize("recovery", ["bn", "finetune:3"])
def test_recovery_keeps_the_zeros(plain_task, recovery):
    env = make_env(
        plain_task, granularity="weight", resource="params", recovery=recovery, preserve_ratio=0.4
    )
    before = copy.deepcopy(plain_task.model.state_dict())
    *_, info = play(env, [0.5] * 6)
    network = amc_gym.compress(plain_task, env.plan)
    assert nonzero_params(network) <= info["params"]
    after = plain_task.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "granularity='weight' does not re-fit weights"),
        ({"recovery": "none", "importance": "greedy"}, "needs importance='magnitude'"),
    ],
)
def test_options_that_make_no_sense(plain_task, options, message):
    with pytest.raises(ValueError, match=message):
        make_env(plain_task, granularity="weight", resource="params", **options)
