"""Single layers of a network as modules: their geometry, and how they are run."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo
from torch import nn

from amc_gym.compression.latency.layers import Geometry, as_onnx, geometries
from amc_gym.compression.latency.runtimes import RUNTIMES
from amc_gym.compression.tracing import trace


def test_layers_of_a_network_take_and_give_the_shapes_of_their_own(plain_task: Any) -> None:
    model, shapes = plain_task.model, {}
    graph = trace(model, plain_task.example)
    hooks = [
        model.get_submodule(name).register_forward_hook(
            lambda _, args, out, name=name: shapes.update({name: (args[0].shape, out.shape)})
        )
        for name in geometries(model, graph)
    ]
    with torch.no_grad():
        model(plain_task.example[:1])
    for hook in hooks:  # other tests share the network
        hook.remove()
    found = geometries(model, graph)
    assert [*found] == ["first", "depthwise", "second", "third", "hidden", "classifier"]
    assert [geometry.norm for geometry in found.values()] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    for name, geometry in found.items():
        taken, given = shapes[name]
        images = geometry.input(1, taken[1], given[1])
        assert images.shape == taken
        with torch.no_grad():
            assert geometry.module(taken[1], given[1])(images).shape == given


GEOMETRIES = {
    "conv": (Geometry("conv", (3, 3), (2, 2), (1, 1), 9, 9, 1, norm=True), 6, 10),
    "uneven": (Geometry("conv", (1, 5), (1, 2), (0, 2), 8, 9, 1, norm=False), 6, 10),
    "groups": (Geometry("conv", (3, 3), (1, 1), (1, 1), 8, 8, 2, norm=True), 6, 10),
    "depthwise": (Geometry("depthwise", (3, 3), (1, 1), (1, 1), 8, 8, 1, norm=True), 1, 10),
    "linear": (Geometry("linear", (1, 1), (1, 1), (0, 0), 1, 1, 1, norm=False), 6, 10),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_direct_export_to_onnx_gives_the_same_outputs(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    geometry, inputs, outputs = GEOMETRIES[name]
    module, images = geometry.module(inputs, outputs), geometry.input(2, inputs, outputs)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_var is not None
            part.running_var.uniform_(0.5, 2)
    content = as_onnx(module, images)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, module(images), rtol=1e-4, atol=1e-5)


def test_other_networks_are_exported_by_torch(plain_task: Any) -> None:
    assert as_onnx(plain_task.model, plain_task.example) is None


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_pass_runs_the_network(runtime: str, plain_task: Any) -> None:
    calls: list[int] = []
    model = copy.deepcopy(plain_task.model)
    if runtime == "torch":  # it runs a copy, which has the hook, too
        model.register_forward_hook(lambda *_: calls.append(1))
    run = RUNTIMES[runtime].prepare(model, plain_task.example[:2], 1)
    before = model.state_dict()["first.weight"].clone()
    calls.clear()  # the calls so far tried out memory layouts
    outputs: Any = run()
    run()
    if runtime == "torch":
        assert len(calls) == 2
    else:
        with torch.no_grad():
            np.testing.assert_allclose(
                outputs[0], model(plain_task.example[:2]), rtol=1e-3, atol=1e-4
            )
    assert torch.equal(model.state_dict()["first.weight"], before)


@pytest.mark.thorough
def test_every_compiled_network_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile more versions than PyTorch's limit, beyond which it silently compiles nothing."""
    monkeypatch.setattr(torch._dynamo.config, "cache_size_limit", 2)  # instead of 8
    geometry, *_ = GEOMETRIES["linear"]  # which needs no C++ compiler
    compiled = torch._dynamo.utils.counters["stats"]
    before = compiled["unique_graphs"]
    passes = [
        RUNTIMES["compile"].prepare(geometry.module(i, 4), geometry.input(1, i, 4), 1)
        for i in range(1, 5)
    ]
    for run in passes:
        run()
    assert compiled["unique_graphs"] - before == 4
