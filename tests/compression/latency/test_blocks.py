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

COUNTS = np.array(PROBES)
LINE = 4_000 + 90 * COUNTS
"""Nanoseconds of a layer whose every channel costs."""


def noise(seed: int, spread: float) -> np.ndarray:
    """Return factors around 1, (probes,)."""
    return np.random.default_rng(seed).normal(1, spread, len(PROBES))


@pytest.mark.parametrize("block", [8, 16, 32])
def test_a_staircase_is_found_through_noise(block: int) -> None:
    for seed in range(20):
        times = (4_000 + 90 * rounded_up(PROBES, block)) * noise(seed, 0.01)
        assert block_of(PROBES, times.tolist()) == block


@pytest.mark.parametrize("block", [4, 8, 16, 32])
@pytest.mark.parametrize("per_channel", [0, 20, 90])
def test_whole_blocks_that_are_faster_are_found_through_noise(block: int, per_channel: int) -> None:
    for seed in range(20):
        slower = np.where(COUNTS % block, 1.4, 1.0)
        times = (4_000 + per_channel * COUNTS) * slower * noise(seed, 0.02)
        assert block_of(PROBES, times.tolist()) == block


def test_a_block_is_found_among_the_multiples_of_a_smaller_one() -> None:
    # Microseconds of a depthwise convolution, 3x3 on 16x16, by ONNX Runtime on a Xeon: a slow
    # kernel unless channels are a multiple of 4, a fast one that rounds those up to 16.
    measured = {16: 14.3, 19: 29.8, 20: 16.5, 24: 17.0, 27: 36.2, 28: 16.6, 32: 16.6, 35: 45.4}
    measured |= {36: 18.9, 40: 20.2, 43: 55.1, 44: 19.2, 48: 17.6, 51: 64.5, 52: 20.7, 56: 22.9}
    measured |= {59: 71.0, 60: 21.6, 64: 20.1}
    assert block_of(tuple(measured), tuple(measured.values())) == 16


def test_a_straight_line_has_no_block() -> None:
    for seed in range(200):
        assert block_of(PROBES, (LINE * noise(seed, 0.03)).tolist()) == 1
    # Nor have times that do not depend on channels, or steps of a width that no block has.
    assert block_of(PROBES, [1_000.0] * len(PROBES)) == 1
    assert block_of(PROBES, (4_000 + 90 * rounded_up(PROBES, 12)).tolist()) == 1


def test_whole_blocks_that_are_slower_are_no_blocks() -> None:
    for seed in range(20):
        faster = np.where(COUNTS % 8, 0.7, 1.0)
        assert block_of(PROBES, (LINE * faster * noise(seed, 0.02)).tolist()) == 1


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
