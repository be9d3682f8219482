"""Resources of users: a function of a layer's sizes works like MACs and parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from networks.trial import task_of, with_statistics
from networks.variants import VARIANTS
from small import play

import amc_gym
from amc_gym import PlanError
from amc_gym.compression import cost
from amc_gym.compression.cost import LayerSize, resource
from amc_gym.engine.analysis import Analysis
from amc_gym.envs.factory import make_env, make_vector_env

HALVES = [0.5] * 4


def energy(layer: LayerSize) -> int:
    """Return picojoules: one for a multiplication, a hundred for each weight that is fetched."""
    return layer.macs + 100 * layer.params


@pytest.fixture
def registered():
    before = dict(resource.RESOURCES)
    yield cost.register
    resource.RESOURCES.clear()
    resource.RESOURCES.update(before)


@pytest.mark.parametrize("name", ["macs", "params"])
@pytest.mark.parametrize(
    "network", ["groups1d", "mha", "cbam", "option_a", "convnext", "functional_linear"]
)
def test_the_sum_over_layers_is_the_whole(network, name):
    graph = Analysis(task_of(with_statistics(VARIANTS[network]()))).graph
    known = resource.RESOURCES[name].of_channels(graph)
    summed = cost.resource_of(lambda layer: getattr(layer, name)).of_channels(graph)
    rng = np.random.default_rng(0)
    plans = np.array(
        [[u.blocks * rng.integers(1, u.channels // u.blocks + 1) for u in graph.units]] * 3
    )
    assert summed.full == known.full
    assert summed.totals(plans).tolist() == known.totals(plans).tolist()
    assert summed.per_layer(plans[0]).tolist() == known.per_layer(plans[0]).tolist()


def test_sizes_are_those_of_the_slim_network(plain_task):
    seen = {}
    env = make_env(plain_task, resource=lambda layer: seen.setdefault(layer, layer.outputs))
    play(env, HALVES)
    network = amc_gym.compress(plain_task, env.plan)
    graph = env.engine.graph
    assert {layer.kind for layer in seen} >= {"conv", "linear", "norm", "rest"}
    for name, layer in graph.layers.items():
        weight = network.get_parameter(f"{name}.weight")
        wanted = (len(weight), weight.shape[1] if len(weight.shape) > 1 else 1)
        sizes = {(s.outputs, s.inputs): s for s in seen if s.name == name}
        assert sizes[wanted].params == sum(
            p.numel() for p in network.get_submodule(name).parameters()
        )
        assert sizes[wanted].kernel == layer.kernel


def test_a_function_is_a_resource(plain_task):
    env = make_env(plain_task, resource=energy, preserve_ratio=0.4)
    _, _, _, _, info = play(env, [0.0] * 4)
    assert info["cost"] == info["macs"] + 100 * info["params"] == env.plan.measured.cost
    assert info["cost_ratio"] == info["cost"] / env.cost.full <= 0.4
    plan = amc_gym.CompressionPlan.from_json(env.plan.to_json())
    assert plan == env.plan
    assert plan.options["resource"] == f"{__name__}:energy"
    several = make_vector_env(2, plain_task, resource=energy, preserve_ratio=0.4)
    several.reset()
    for _ in HALVES:
        *_, infos = several.step(np.zeros((2, 1)))
    assert infos["final_info"]["cost"].tolist() == [info["cost"]] * 2


def test_its_budget_is_judged_where_the_function_is_named(plain_task):
    env = make_env(plain_task, resource=energy, preserve_ratio=0.4)
    play(env, [0.0] * 4)
    unknown = amc_gym.validate(plain_task, env.plan)
    assert unknown.ok
    assert not unknown.budget_judged
    assert "pass that function as resource" in unknown.unproven[0]
    known = amc_gym.validate(plain_task, env.plan, resource=energy)
    assert known.ok
    assert known.budget_judged
    assert known.found["cost"] == env.plan.measured.cost
    with pytest.raises(PlanError, match=r"budget counts .*energy, not .*macs"):
        amc_gym.validate(plain_task, env.plan, resource="macs")


def test_a_registered_resource_has_a_name(plain_task, registered, tmp_path):
    registered("energy", "energy, pJ")(energy)
    env = make_env(plain_task, resource="energy", preserve_ratio=0.4)
    play(env, [0.0] * 4)
    env.plan.save(tmp_path / "plan.json")
    plan = amc_gym.CompressionPlan.load(tmp_path / "plan.json")
    assert plan.options["resource"] == "energy"
    assert amc_gym.validate(plain_task, plan).budget_judged
    with pytest.raises(ValueError, match="there is a resource 'energy' already"):
        registered("energy")(energy)
    with pytest.raises(ValueError, match="there is a resource 'latency' already"):
        registered("latency")(energy)


def falls(layer: LayerSize) -> int:
    """Return a cost that falls when channels fill whole blocks of eight, which is not allowed."""
    return -(-layer.outputs // 8) * 1000 if layer.outputs % 8 else layer.outputs


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (falls, r"resource '.*falls' falls from .* when unit 'second' grows from 7 to 8 channels"),
        (lambda layer: 0.5 * layer.macs + 0.1, "what it returns must be a whole number"),
        (lambda layer: math.nan, "what it returns must be a whole number"),
        (lambda layer: -layer.macs, "what it returns must be at least 0"),
        (lambda layer: "much", r"resource '.*lambda>' of LayerSize\(name="),
        (lambda layer: layer.joules, "has no attribute 'joules'"),
    ],
)
def test_a_resource_that_is_none_says_so(function, error, plain_task):
    with pytest.raises(ValueError, match=error):
        make_env(plain_task, resource=function)


def test_a_resource_that_is_no_function_is_refused(plain_task):
    with pytest.raises(TypeError, match="resource must be a function of a layer's sizes"):
        make_env(plain_task, resource=lambda: 1)
    with pytest.raises(ValueError, match="unknown resource 'mac'; did you mean 'macs'"):
        make_env(plain_task, resource="mac")
    with pytest.raises(ValueError, match="is not defined for weight pruning"):
        make_env(plain_task, resource=energy, granularity="weight", recovery="none")
