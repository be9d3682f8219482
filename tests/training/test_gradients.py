"""Gradients of a training step: equal to autograd's, also replayed from a CUDA graph."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from amc_gym.training.gradients import Gradients, Recorded, fastest
from amc_gym.training.loop import train
from amc_gym.training.recipe import Recipe
from amc_gym.zoo.datasets import digits

RECIPE = Recipe(epochs=3, batch_size=16, learning_rate=0.05, label_smoothing=0.1)

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


class Waits(nn.Module):
    """A network that branches on a value, which a CUDA graph cannot record."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.head(images.flatten(1))
        return logits if logits.sum().item() < 1e9 else -logits


def network(device: str = "cpu") -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 10)
    ).to(device)


def batches(device: str = "cpu") -> list[tuple[Tensor, Tensor]]:
    split = digits(8).train
    parts = (slice(start, start + 16) for start in (0, 16, 32))
    return [(split.batch(part).to(device), split.labels[part].to(device)) for part in parts]


def test_gradients_are_those_of_the_loss() -> None:
    model = network()
    step = fastest(Gradients(model, None, RECIPE), *batches()[0])
    for images, labels in batches()[1:]:  # gradients of two calls must not add up
        loss = step(images, labels)
        expected = functional.cross_entropy(model(images), labels, label_smoothing=0.1)
        parameters = list(model.parameters())
        gradients = torch.autograd.grad(expected, parameters)
        torch.testing.assert_close(loss, expected.detach())
        for parameter, gradient in zip(parameters, gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)


@needs_gpu
@pytest.mark.parametrize("distillation", [0.0, 0.9])
def test_a_recorded_step_is_the_plain_one(distillation: float) -> None:
    recipe = Recipe(epochs=1, batch_size=16, learning_rate=0.05, distillation=distillation)
    teacher = network("cuda").eval() if distillation else None
    plain = network("cuda")
    other = copy.deepcopy(plain)
    step = Gradients(plain, teacher, recipe)
    recorded = Recorded(Gradients(other, teacher, recipe), *batches("cuda")[0])
    for images, labels in batches("cuda"):
        torch.testing.assert_close(recorded(images, labels), step(images, labels))
        for ours, theirs in zip(other.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad)
    for ours, theirs in zip(other.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


@needs_gpu
def test_training_on_a_gpu_is_training_on_the_processor() -> None:
    split = digits(8).train.first(100)
    ours = train(network("cuda"), split, RECIPE, progress=False).cpu()
    theirs = train(network(), split, RECIPE, progress=False)
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name], rtol=1e-2, atol=1e-3)


@needs_gpu
def test_networks_that_cannot_be_recorded_take_the_plain_step() -> None:
    model = Waits().cuda()
    step = Gradients(model, None, RECIPE)
    assert fastest(step, *batches("cuda")[0]) is step
    images, labels = batches("cuda")[1]
    loss = step(images, labels)
    assert loss.isfinite()
    assert model.head.weight.grad is not None
