"""Least squares on a GPU: solutions equal a processor's, and nothing waits for the GPU."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import inf
from typing import Any

import numpy as np
import pytest
import torch
from small import ExactCalibration, PlainStack, images, lively
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from amc_gym import CompressionTask
from amc_gym.compression.ranking.order import rank
from amc_gym.compression.recovery import chain, reconstruction, sequential, targets
from amc_gym.compression.recovery.behind_relu import OutputTransform
from amc_gym.compression.recovery.fitting import Problem, best_fit
from amc_gym.compression.recovery.fitting_on_device import best_fit_on_device
from amc_gym.compression.recovery.moments import restored
from amc_gym.compression.recovery.reconstruction import (
    MaskedLeastSquares,
    NestedLeastSquares,
    refit,
    refit_together,
)
from amc_gym.compression.recovery.sequential import refit_sequentially
from amc_gym.compression.recovery.targets import Targets
from amc_gym.engine.analysis import Analysis

GROUPS, SAMPLES, FITTED, COLUMNS, OUTPUTS = 2, 400, 320, 6, 5


def problem(behind: float | str | None, device: str = "cpu") -> tuple[Problem, torch.Tensor]:
    """Return a layer that fits its inputs badly, and its weights.

    Args:
        behind: Ceiling of the ReLU behind it, ``None`` without a ceiling, "" without a ReLU.
        device: Device of all tensors.
    """
    torch.manual_seed(0)
    randn = partial(torch.randn, device=device)
    rows, start = randn(GROUPS, SAMPLES, COLUMNS), randn(GROUPS, COLUMNS, OUTPUTS)
    wanted = rows @ (start + 0.3 * randn(GROUPS, COLUMNS, OUTPUTS)) + 0.5
    wanted = wanted + 0.1 * randn(GROUPS, SAMPLES, OUTPUTS)
    if isinstance(behind, str):
        return Problem(rows, wanted), start
    scale, shift = 1 + randn(GROUPS, 1, OUTPUTS).abs(), randn(GROUPS, 1, OUTPUTS)
    return Problem(
        rows, wanted, OutputTransform(scale, shift, behind, scale * wanted + shift)
    ), start


@pytest.mark.parametrize("behind", ["", None, inf, 1.5])
def test_a_layer_is_fitted_as_on_a_processor(behind: float | str | None) -> None:
    given, start = problem(behind)
    theirs, ours = best_fit(given, start, FITTED), best_fit_on_device(given, start, FITTED)
    assert theirs is not None
    torch.testing.assert_close(ours.weights, theirs.weights, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.offset, theirs.offset, rtol=1e-4, atol=1e-5)
    assert (ours.weights - start).abs().max() > 0.1


def test_what_is_right_already_is_left_as_it_is() -> None:
    rows, start = torch.randn(2, 50, 3), torch.randn(2, 3, 4)
    found = best_fit_on_device(Problem(rows, rows @ start), start, 40)
    assert torch.equal(found.weights, start)
    assert not found.offset.any()


def test_layers_of_one_shape_are_solved_together() -> None:
    known = ExactCalibration(lively(PlainStack()), images(24, seed=1).images)
    orders = rank(known.model, known.graph, known.grams, "greedy", None)
    kept = tuple(np.sort(order[: -(-len(order) // 2)]) for order in orders)
    given = (known.model, known.graph, known.grams, kept)
    theirs, ours = refit(*given), refit_together(*given)
    assert ours.keys() == theirs.keys()
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("recovery", ["sequential", "nonlinear"])
def test_networks_come_out_alike(
    digits_task: CompressionTask, recovery: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = digits_task.calibration.first(40)
    task = CompressionTask(digits_task.model, few, digits_task.reward, digits_task.test)
    made, shown = Analysis(task), task.test.batch(slice(100))
    orders = rank(task.model, made.graph, {}, "magnitude", None)
    kept = tuple(np.sort(order[: 3 * len(order) // 4]) for order in orders)
    with torch.inference_mode():
        theirs = chain(recovery).recover(kept, made)(shown)
        monkeypatch.setattr(sequential, "best_fit", best_fit_on_device)
        monkeypatch.setattr(reconstruction, "refit", refit_together)
        ours = chain(recovery).recover(kept, made)(shown)
    assert not torch.equal(ours, theirs)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-3 * float(theirs.abs().max()))


class Stays(TorchDispatchMode):
    """A mode that fails if a tensor leaves the GPU; fake tensors fail if their value is read."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        before = [t for t in tree_leaves((args, kwargs)) if isinstance(t, FakeTensor)]
        if any(t.device.type == "cuda" for t in before):
            made = [t for t in tree_leaves(result) if isinstance(t, FakeTensor)]
            assert all(t.device.type == "cuda" for t in made), f"{func} brings a tensor back"
        return result


@pytest.fixture
def on_a_gpu() -> Iterator[None]:
    """Have tensors carry shapes and devices but no values, on a GPU that need not exist."""
    with FakeTensorMode(), Stays():
        yield


@pytest.mark.usefixtures("on_a_gpu")
@pytest.mark.parametrize("behind", ["", None, inf, 1.5])
def test_a_fit_stays_on_the_device_and_asks_for_nothing(behind: float | str | None) -> None:
    given, start = problem(behind, "cuda")
    found = best_fit_on_device(given, start, FITTED)
    found = restored(found, given.rows, given.wanted)
    assert (found.weights.device.type, found.weights.shape) == ("cuda", start.shape)
    with pytest.raises(Exception, match="brings a tensor back"):
        found.weights.cpu()
    with pytest.raises(Exception, match="_local_scalar_dense"):
        best_fit(given, start, FITTED)


@pytest.mark.usefixtures("on_a_gpu")
def test_least_squares_stay_on_the_device() -> None:
    gram = torch.randn(GROUPS, COLUMNS, COLUMNS, device="cuda", dtype=torch.float64)
    weight = torch.randn(GROUPS, COLUMNS, OUTPUTS, device="cuda", dtype=torch.float64)
    order = torch.arange(COLUMNS, device="cuda").expand(GROUPS, -1)
    nested = NestedLeastSquares(gram, weight, order)
    assert nested.weights(3).device.type == "cuda"
    kept = torch.ones(GROUPS, COLUMNS, dtype=torch.bool, device="cuda")
    assert MaskedLeastSquares(gram, weight).weights(kept).device.type == "cuda"


@pytest.mark.parametrize("nonlinear", [False, True])
def test_a_recovery_stays_on_the_device_and_asks_for_nothing(
    nonlinear: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Held-out images are chosen by values: so none for whole networks, eight for each layer.
    monkeypatch.setattr(Targets, "held_out", [])
    monkeypatch.setattr(targets, "int", lambda fitted: 32, raising=False)
    example = images(40, seed=1).images
    known = ExactCalibration(lively(PlainStack()), example)
    graph, grams = known.graph, known.grams
    kept = tuple(np.arange(unit.channels) for unit in graph.units)
    with FakeTensorMode(allow_non_fake_inputs=True), Stays():
        with torch.device("cuda"):
            model, network = PlainStack().eval(), PlainStack().eval()
            shown = torch.randn(example.shape)
        wanted = Targets(model, graph, [shown])
        refit_sequentially(network, graph, kept, wanted, nonlinear=nonlinear)
        weights = refit_together(model, graph, grams, kept)
    assert {t.device.type for t in (*network.parameters(), *weights.values())} == {"cuda"}
