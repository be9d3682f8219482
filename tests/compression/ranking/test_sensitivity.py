"""Sensitivity of the loss, against what noise in a layer's output does to the outputs."""

from __future__ import annotations

import copy

import pytest
import torch

from amc_gym.compression.ranking.sensitivity import sensitivities
from amc_gym.engine.cache import engines
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions
from amc_gym.zoo.resolving import resolve


@pytest.mark.parametrize(
    ("network", "layer"), [("MobileNet", 3), ("MobileNet", -1), ("Plain20", 2)]
)
@pytest.mark.thorough
def test_it_predicts_what_small_noise_does(network: str, layer: int) -> None:
    """Compare with the divergence of the outputs, whose curvature is the Fisher information."""
    task = resolve(network, dataset="digits")
    model, graph = copy.deepcopy(task.model).double(), engines.analysis(task).graph
    images = task.calibration.first(200).batch(torch.arange(200)).double()
    # Labels are drawn: with unsure outputs, few draws bring the mean close.
    model.register_forward_hook(lambda _m, _i, logits: torch.div(logits, 20))
    predicted = [sensitivities(model, graph, [(images, None)], seed) for seed in range(4)]
    name = [*predicted[0]][layer]
    expected = sum(each[name] for each in predicted) / len(predicted)

    module = model.get_submodule(name)
    share, outputs = 1e-4, []
    with torch.inference_mode():
        recording = module.register_forward_hook(lambda _m, _i, y: outputs.append(y))
        logits = model(images)
        recording.remove()
        linear = outputs[0]
        if isinstance(module.bias, torch.Tensor):
            linear = linear - module.bias.view(1, -1, *[1] * (linear.dim() - 2))
        scale = (share * linear.square().mean()).sqrt()
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(
            (4, *linear.shape), generator=generator, dtype=linear.dtype, device=linear.device
        )
        rises = []
        for each in noise:
            adding = module.register_forward_hook(lambda _m, _i, y, each=each: y + scale * each)
            answers = model(images).log_softmax(1)
            adding.remove()
            before = logits.log_softmax(1)
            rises.append(float((before.exp() * (before - answers)).sum(1).mean()))
    # Four draws of each agree within about a fifth; a factor of 2 would fail.
    assert sum(rises) / len(rises) == pytest.approx(share * expected, rel=0.35)


def test_it_changes_nothing() -> None:
    task = resolve("MobileNet", dataset="digits")
    before = copy.deepcopy(task.model.state_dict())
    images = task.calibration.batch(torch.arange(4))
    once = sensitivities(task.model, engines.analysis(task).graph, [(images, None)])
    assert once == sensitivities(task.model, engines.analysis(task).graph, [(images, None)])
    assert all(torch.equal(value, before[key]) for key, value in task.model.state_dict().items())
    assert all(parameter.grad is None for parameter in task.model.parameters())
    assert not any(module._forward_hooks for module in task.model.modules())


def test_errors_are_weighted_by_it() -> None:
    task = resolve("MobileNet", dataset="digits")
    engine = Engine(engines.analysis(task), EngineOptions())
    weights = engines.analysis(task).sensitivity
    graph = engine.graph
    curvatures = (1.0, 0.5)
    for curvature, by_unit in zip(curvatures, engine.errors(*curvatures), strict=True):
        for unit, errors in zip(graph.units, by_unit, strict=True):
            total = sum(weights[name] ** curvature for name in unit.consumers)
            assert errors[0] == pytest.approx(total)
            assert errors[-1] == pytest.approx(0, abs=1e-9 * total)
