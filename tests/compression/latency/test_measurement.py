"""Measured latency tables.  A command, not a test, measures how well they predict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from amc_gym._utils.machine import processor
from amc_gym.compression.latency.blocks import rounded_up
from amc_gym.compression.latency.checking import check
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.latency.fitting import fitted
from amc_gym.compression.latency.layers import geometries
from amc_gym.compression.latency.measurement import build
from amc_gym.compression.latency.runtimes import Pass
from amc_gym.compression.latency.table import Grid
from amc_gym.compression.latency.timing import LatencyError
from amc_gym.compression.latency.workload import Workload, random_plans, this_device
from amc_gym.compression.tracing import trace
from amc_gym.engine.cache import engines
from amc_gym.engine.latency import cache_folder, table_of, workload_of
from tests.compression.latency.test_cost import table_for

QUICK = {"rounds": 3, "noisiest": math.inf, "progress": False}


@pytest.fixture
def workload(plain_task: Any) -> Workload:
    graph = trace(plain_task.model, plain_task.example)
    device = this_device(torch.device("cpu"), "torch", 1, 2)
    return Workload(plain_task.model, graph, plain_task.example[:1], device)


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_measured_table_prices_its_network(
    runtime: str, workload: Workload, tmp_path: Path
) -> None:
    workload = replace(workload, device=this_device(torch.device("cpu"), runtime, 1, 2))
    table = build(workload, **QUICK)
    assert (table.device.name, table.device.batch, table.portable) == (processor(), 2, False)
    cost = LatencyCost(workload.graph, geometries(workload.model, workload.graph), table)
    smallest = cost.total([1] * len(workload.graph.units))
    assert 0 < smallest <= cost.full < 10**9
    path = table.save(tmp_path / "table.json")
    assert type(table).load(path, processor()) == table


@dataclass(frozen=True)
class Simulated(Workload):
    """A device that takes a time for each convolution that is a function of its channels.

    Attributes:
        nanoseconds: the function.
        took: times of all passes so far.
    """

    nanoseconds: Callable[[nn.Conv2d], int] = id
    took: list[int] = field(default_factory=list)

    def prepare(self, network: nn.Module, images: torch.Tensor) -> Pass:
        """Return a pass that moves the clock on."""
        convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        time = 2_000_000 + sum(map(self.nanoseconds, convolutions))
        return lambda: self.took.append(time)


def in_whole_blocks(depthwise: int, outputs: int, inputs: int) -> Callable[[nn.Conv2d], int]:
    """Return times that grow by whole blocks, or double between those of a depthwise one."""

    def nanoseconds(conv: nn.Conv2d) -> int:
        if conv.groups > 1:
            return 10_000 * conv.out_channels * (1 + (conv.out_channels % depthwise > 0))
        ins = rounded_up([conv.in_channels], inputs).item()
        return 500 * ins * rounded_up([conv.out_channels], outputs).item()

    return nanoseconds


@pytest.mark.parametrize(
    ("blocks", "found"),
    [((1, 1, 1), 1), ((4, 1, 1), 4), ((1, 8, 1), 8), ((1, 1, 16), 16), ((4, 8, 1), 8)],
)
def test_blocks_are_found_in_depthwise_convolutions_and_on_both_sides_of_others(
    workload: Workload, blocks: tuple[int, int, int], found: int
) -> None:
    simulated = Simulated(**vars(workload), nanoseconds=in_whole_blocks(*blocks))
    assert build(simulated, clock=lambda: sum(simulated.took), **QUICK).block == found


def test_a_check_times_networks_that_the_table_was_not_fitted_to(workload: Workload) -> None:
    table = build(workload, **QUICK)
    found = check(workload, table, 4, **QUICK)
    assert found.predicted.shape == found.measured.shape == found.errors.shape == (4,)
    assert (found.measured > 1000).all()
    np.testing.assert_allclose(found.errors, abs(found.predicted / found.measured - 1))
    slower = replace(found, measured=2 * found.measured)
    assert slower.pace == pytest.approx(2 * found.pace)
    np.testing.assert_allclose(slower.errors_at_pace, found.errors_at_pace)
    exact = replace(found, measured=3 * found.predicted)
    np.testing.assert_allclose(exact.errors_at_pace, 0, atol=1e-12)


def test_scale_and_overhead_are_those_of_the_networks(plain_task: Any, workload: Workload) -> None:
    table = replace(table_for(plain_task), overhead=0)
    plans = random_plans(workload.graph, 12, 1, seed=5)
    layers = geometries(workload.model, workload.graph)
    cost = LatencyCost(workload.graph, layers, table)
    networks = 1.7 * cost.totals(np.array(plans)) + 40_000
    found = fitted(workload.device, workload.graph, layers, table.grids, plans, networks)
    assert found.overhead == pytest.approx(40_000, rel=0.02)
    for key, grid in table.grids.items():
        np.testing.assert_allclose(found.grids[key].ns, 1.7 * np.array(grid.ns), rtol=0.02, atol=1)


def test_layers_that_take_less_in_a_network_than_alone(plain_task: Any, workload: Workload) -> None:
    layers = geometries(workload.model, workload.graph)
    table = table_for(plain_task)
    ns = {key: np.array(grid.ns) + 50_000 for key, grid in table.grids.items()}
    alone = {key: Grid.of(g.inputs, g.outputs, ns[key]) for key, g in table.grids.items()}
    plans = random_plans(workload.graph, 12, 1, seed=5)
    sums = LatencyCost(workload.graph, layers, replace(table, grids=alone, overhead=0)).totals(
        np.array(plans)
    )
    networks = 1.3 * (sums - 40_000 * len(layers))  # a layer saves 40 of its 50 microseconds
    table = fitted(workload.device, workload.graph, layers, alone, plans, networks)
    assert table.overhead == 0
    found = LatencyCost(workload.graph, layers, table).totals(np.array(plans))
    np.testing.assert_allclose(found, networks, rtol=0.01)


def test_random_plans_are_admissible_and_of_all_sizes() -> None:
    from amc_gym.zoo.resolving import resolve

    graph = engines.analysis(resolve("MobileNet")).graph
    plans = np.array(random_plans(graph, 40, 8, seed=0))
    assert (plans % 8 == 0).all()
    assert (plans <= graph.full).all()
    shares = (plans / graph.full).mean(1)
    assert shares.min() < 0.4
    assert shares.max() > 0.8
    assert plans.tolist() == [list(plan) for plan in random_plans(graph, 40, 8, seed=0)]


def test_a_measured_table_is_cached(
    plain_task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMC_CACHE", str(tmp_path))
    table = table_of(engines.analysis(plain_task), "torch", device="cpu", **QUICK)
    (file,) = cache_folder().iterdir()
    assert tmp_path in file.parents
    assert (
        table_of(engines.analysis(plain_task), "torch", device="cpu") == table
    )  # measured again, the times would differ
    file.write_text(file.read_text().replace(f'"name": "{processor()}"', '"name": "Another"'))
    with pytest.raises(LatencyError, match="changed"):
        table_of(engines.analysis(plain_task), "torch", device="cpu")


def test_a_cached_table_of_another_machine_is_refused(
    plain_task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMC_CACHE", str(tmp_path))
    table = table_of(engines.analysis(plain_task), "torch", device="cpu", **QUICK)
    (file,) = cache_folder().iterdir()
    replace(table, device=replace(table.device, name="Another")).save(file)
    with pytest.raises(LatencyError, match="was measured on 'Another'"):
        table_of(engines.analysis(plain_task), "torch", device="cpu")


def test_what_cannot_be_measured_is_refused(plain_task: Any) -> None:
    with pytest.raises(ValueError, match="unknown runtime 'onxn'; did you mean 'onnx'"):
        workload_of(engines.analysis(plain_task), "onxn")
    with pytest.raises(ValueError, match="batch must be at least 1"):
        workload_of(engines.analysis(plain_task), "torch", batch=0)
    with pytest.raises(ValueError, match="threads must be from 1"):
        build(
            workload_of(engines.analysis(plain_task), "torch", threads=1000, device="cpu"), **QUICK
        )
