"""Blocks of channels that a device computes at once: found in times, and used in budgets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import amc_gym  # noqa: F401  (registers the environments)
from amc_gym.compression.latency.blocks import PROBES, block_of, rounded_up
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.latency.layers import geometries
from amc_gym.engine.cache import engines
from tests.compression.latency.test_cost import plans, table_for


@pytest.mark.parametrize("block", [8, 16, 32])
def test_a_staircase_is_found_through_noise(block: int) -> None:
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(1, 0.01, len(PROBES))
        times = (4_000 + 90 * rounded_up(PROBES, block)) * noise
        assert block_of(PROBES, times.tolist()) == block


def test_a_straight_line_has_no_block() -> None:
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(1, 0.03, len(PROBES))
        assert block_of(PROBES, ((4_000 + 90 * np.array(PROBES)) * noise).tolist()) == 1
    # Nor have times that do not depend on channels, or steps of a width that no block has.
    assert block_of(PROBES, [1_000.0] * len(PROBES)) == 1
    assert block_of(PROBES, (4_000 + 90 * rounded_up(PROBES, 12)).tolist()) == 1


def test_counts_between_two_steps_cost_what_the_upper_one_does(digits_task: Any) -> None:
    graph, table = engines.analysis(digits_task).graph, table_for(digits_task)
    layers = geometries(digits_task.model, graph)
    smooth = LatencyCost(graph, layers, table)
    stepped = LatencyCost(graph, layers, replace(table, block=8))
    drawn = plans(graph, 40)
    upper = np.minimum(rounded_up(drawn, 8), graph.full)
    np.testing.assert_array_equal(stepped.totals(drawn), stepped.totals(upper))
    assert (stepped.totals(drawn) >= smooth.totals(drawn)).all()
    assert len(set(stepped.totals(drawn).tolist())) > 5


def test_an_environment_counts_in_blocks_unless_told_otherwise(
    plain_task: Any, tmp_path: Path
) -> None:
    table = replace(table_for(plain_task), block=2)
    file = table.save(tmp_path / "table.json")
    timed = {"task": plain_task, "resource": "latency", "latency_table": file}
    timed |= {"preserve_ratio": 0.9}
    env = gym.make("AMC-v0", **timed).unwrapped
    assert env.options["channel_multiple"] == 2
    for counts, full in zip(env.budget.admissible, env.budget.channels, strict=True):
        assert all(count % 2 == 0 or count == full for count in counts)
    env = gym.make("AMC-v0", **timed, channel_multiple=1).unwrapped
    assert env.options["channel_multiple"] == 1
    assert gym.make("AMC-v0", task=plain_task).unwrapped.options["channel_multiple"] == 1
