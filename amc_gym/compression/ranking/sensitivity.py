"""Sensitivity: how much errors in a layer's output change the loss.

Errors d of a layer's outputs, d numbers for an image, raise the loss by d'Hd / 2 to second order,
where H is close to the Fisher information E[g g'], with g the loss's gradient with respect to the
outputs and labels drawn from the network's own predictions.  Errors of random direction with a
share e of the outputs' energy |y|^2 (a relative squared error) then raise it by

    e E|y|^2 E|g|^2 / (2 d).

Relative errors alone treat all layers the same.  That misleads most in residual networks, where a
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
    """Sums of a layer's squared outputs and squared gradients over the images."""

    def __init__(self) -> None:
        self.outputs = self.gradients = 0.0
        self.numbers = 0  # number of outputs of all images together

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
"""Function (network, inputs, targets, generator) -> the loss, summed over the samples.

The targets may be drawn from the network's own predictions instead of the given ones.
"""


def drawn_cross_entropy(
    network: nn.Module, images: torch.Tensor, _labels: object, generator: torch.Generator
) -> torch.Tensor:
    """Return the loss of classification, with labels drawn from the network's predictions."""
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
    """Estimate how a relative squared error of 1 in each layer's output raises the loss, in nats.

    Args:
        model: in eval mode; only run, never changed.
        graph: its channel graph.
        batches: inputs and targets, such as images (B, C, H, W) and labels (B,).
        seed: of the targets that are drawn from the network's predictions.
        loss: in nats.

    Returns:
        Layer name -> sensitivity in nats, for layers that read a unit.
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
            # Gradients of the inputs only, which pass the hooks on the way; parameters get none.
            floats = [tensor for tensor in leaves(inputs) if tensor.requires_grad]
            torch.autograd.grad(lost, floats or list(model.parameters()), allow_unused=True)
            images += samples(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        # Layers that never ran as modules have no numbers.
        name: energy.outputs * energy.gradients / images**2 / max(2 * energy.numbers // images, 1)
        for name, energy in energies.items()
    }


def _differentiable(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().requires_grad_(tensor.is_floating_point())
