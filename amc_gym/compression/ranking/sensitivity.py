"""How much the loss reacts to errors in a layer's output.

Errors d of a layer's outputs, d numbers for an image, raise the loss by d'Hd / 2 to second order,
H being close to the Fisher information E[g g'], with g the loss's gradient by the outputs and the
labels drawn from the network's own answers.  Errors that point nowhere in particular and have a
share e of the outputs' energy |y|^2 (a relative squared error) then raise it by

    e E|y|^2 E|g|^2 / (2 d).

Relative errors alone count all layers alike.  They mislead most about residual networks, where a
branch adds little to a stream that carries nearly everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import nn

from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.nests import Nest, leaves, mapped, samples
from amc_gym.compression.graph import ChannelGraph


class _Energies:
    """Sums over the images of a layer's squared outputs and their squared gradients."""

    def __init__(self) -> None:
        self.outputs = self.gradients = 0.0
        self.numbers = 0  # of outputs, all images' together

    def __call__(self, module: nn.Module, _inputs: object, outputs: torch.Tensor) -> None:
        bias = module.bias
        linear = outputs.detach()
        if isinstance(bias, torch.Tensor):
            shape = (
                [-1] + [1] * (outputs.dim() - 2)
                if isinstance(module, nn.modules.conv._ConvNd)
                else [-1]
            )
            linear = linear - bias.detach().view(shape)
        self.outputs += float(linear.double().square().sum())
        self.numbers += outputs.numel()
        outputs.register_hook(self._behind)

    def _behind(self, gradient: torch.Tensor) -> None:
        self.gradients += float(gradient.double().square().sum())


Loss = Callable[[nn.Module, Nest, Nest, torch.Generator], torch.Tensor]
"""(network, inputs, targets, generator) -> the loss, summed over the samples.

The targets may be drawn from the network's own answers instead of those that are given.
"""


def drawn_cross_entropy(
    network: nn.Module, images: torch.Tensor, _labels: object, generator: torch.Generator
) -> torch.Tensor:
    """Return the loss of classification, with labels drawn from the network's answers."""
    logits = network(images)
    answers = logits.detach().softmax(1).cpu()
    labels = torch.multinomial(answers, 1, generator=generator)[:, 0]
    return F.cross_entropy(logits, labels.to(logits.device), reduction="sum")


@recorded
def sensitivities(
    model: nn.Module,
    graph: ChannelGraph,
    batches: Iterable[tuple[Nest, Nest]],
    seed: int = 0,
    loss: Loss = drawn_cross_entropy,
) -> dict[str, float]:
    """Estimate what a relative squared error of 1 in each layer's output adds to the loss, in nats.

    Args:
        model: in eval mode; only run, never changed.
        graph: its channel graph.
        batches: inputs and targets, such as images (B, C, H, W) and labels (B,).
        seed: of the targets that are drawn from the network's answers.
        loss: in nats.

    Returns:
        The figure of each layer that reads a unit, by name.
    """
    readers = {name for unit in graph.units for name in unit.consumers}
    energies = {name: _Energies() for name in graph.layers if name in readers}
    hooks = [
        model.get_submodule(name).register_forward_hook(energy) for name, energy in energies.items()
    ]
    generator, images = torch.Generator().manual_seed(seed), 0
    try:
        for inputs, targets in batches:
            inputs = mapped(_differentiable, inputs)
            lost = loss(model, inputs, targets, generator)
            # By the inputs alone: what is in between passes the hooks, parameters get nothing.
            floats = [tensor for tensor in leaves(inputs) if tensor.requires_grad]
            torch.autograd.grad(lost, floats or list(model.parameters()), allow_unused=True)
            images += samples(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        # Layers that never ran by themselves have no numbers.
        name: energy.outputs * energy.gradients / images**2 / max(2 * energy.numbers // images, 1)
        for name, energy in energies.items()
    }


def _differentiable(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().requires_grad_(tensor.is_floating_point())
