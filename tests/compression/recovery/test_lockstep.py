"""Batches that pass through a network layer by layer together, as many as fit into memory."""

import threading

import pytest
import torch
from torch import nn

from amc_gym.compression.recovery.lockstep import lockstep
from amc_gym.compression.recovery.targets import HELD_OUT, Targets, is_held_out
from amc_gym.compression.tracing import trace


def narrowing() -> nn.Sequential:
    """Make layers of falling resolution and rising width, as networks for photographs have."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()]
    for inputs, outputs in ((8, 12), (12, 16), (16, 20)):
        depthwise = nn.Conv2d(inputs, inputs, 3, stride=2, padding=1, groups=inputs)
        layers += [depthwise, nn.ReLU(), nn.Conv2d(inputs, outputs, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, 4)).eval()


@pytest.fixture(scope="module")
def network():
    return narrowing()


@pytest.fixture(scope="module")
def images():
    return torch.randn(60, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_late_layers_see_more_images_and_memory_stays(network, images, monkeypatch):
    first = 8 * 16 * 16 * 4  # bytes of one image at the widest layer
    monkeypatch.setattr("amc_gym.compression.recovery.targets.IMAGE_BYTES", 10 * first)
    monkeypatch.setattr("amc_gym.compression.recovery.targets.batch_size", lambda *_: 10)
    targets = Targets(network, trace(network, images[:1]), [images[:32], images[32:]])
    assert [len(batch) for batch in targets.batches] == [10] * 6
    seen = {}
    targets.visit(network, lambda layer, rows, module: seen.update({layer.name: rows}))
    places = {"2": 6, "4": 30, "6": 6, "8": 16, "10": 4, "12": 4, "16": 1}
    together = {name: rows.inputs.shape[1] // places[name] for name, rows in seen.items()}
    assert together == {"2": 10, "4": 20, "6": 20, "8": 60, "10": 60, "12": 60, "16": 60}
    assert seen["16"].fitted == 60 - 60 // HELD_OUT
    assert sum(map(len, targets.held_out)) == 60 // HELD_OUT


def test_rows_of_several_batches_come_from_the_layers_changed_so_far(network, images, monkeypatch):
    monkeypatch.setattr("amc_gym.compression.recovery.targets.IMAGE_BYTES", 10 * 8 * 16 * 16 * 4)
    monkeypatch.setattr("amc_gym.compression.recovery.targets.batch_size", lambda *_: 10)
    targets = Targets(network, trace(network, images[:1]), [images])
    changed, last = narrowing(), {}

    def double(layer, rows, module):
        module.weight.data.mul_(2)
        last[layer.name] = rows.inputs

    targets.visit(changed, double)
    with torch.no_grad():
        pooled = changed[:-1](images)  # outputs of the changed layers for all images
    held = is_held_out(0, 60)
    torch.testing.assert_close(last["16"][0], torch.cat([pooled[~held], pooled[held]]))
    assert not any(module._forward_pre_hooks for module in changed.modules())


@pytest.mark.parametrize("who", ["a batch", "who meets them"])
def test_an_error_ends_all(who):
    def run(number, arrive):
        arrive(0, number)
        if who == "a batch" and number == 1:
            raise ValueError("a batch fails")
        arrive(1, number)

    def meet(stop, brought):
        assert brought == [0, 1, 2]
        if stop == 1:
            raise ValueError("who meets them fails")

    before = threading.active_count()
    with pytest.raises(ValueError, match=f"{who} fails"):
        lockstep(run, [3, 3], meet)
    assert threading.active_count() == before


@pytest.mark.parametrize("classes", [2, 5, 10, 25])
def test_images_are_held_out_of_every_class_though_classes_come_in_turn(classes: int) -> None:
    held = is_held_out(0, 1000)
    assert int(held.sum()) == 1000 // HELD_OUT
    assert torch.equal(torch.cat([is_held_out(0, 64), is_held_out(64, 936)]), held)
    shares = [float(held[first::classes].float().mean()) for first in range(classes)]
    assert 0 < min(shares) <= max(shares) < 2.5 / HELD_OUT
