"""What calibration images tell: Gram matrices of layers' inputs, and saliencies of channels.

Gram matrices are summed batch by batch in float64, so memory does not grow with the images.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional as F

from amc_gym.compression.graph import ChannelGraph, Layer

POSITIONS_PER_IMAGE = 10
"""Sampled positions of a feature map per calibration image (the authors' code: 10)."""

MIN_SAMPLES_PER_COLUMN = 2
"""A layer with fewer calibration samples per column is left as it is."""


def grams(
    model: nn.Module,
    graph: ChannelGraph,
    batches: Iterable[torch.Tensor],
    *,
    n_images: int,
    seed: int = 0,
) -> dict[str, torch.Tensor]:
    """Gram matrix of the unfolded input of every convolution and linear layer that is re-fitted.

    Args:
        model: in eval mode; only run, never changed.
        graph: its channel graph.
        batches: calibration images, (B, C, H, W) each, in the order that the seed belongs to.
        n_images: how many there are in all: decides which layers have enough samples.
        seed: of the sampled positions.

    Returns:
        Layer name -> (groups, columns, columns) float64; a column is one (input channel, kernel
        position) in the order of ``weight.flatten(1)``.  Layers that no unit feeds or that have too
        few samples (``MIN_SAMPLES_PER_COLUMN``) are missing.
    """
    generator = torch.Generator().manual_seed(seed)
    sums: dict[str, torch.Tensor] = {}
    hooks = []
    for layer in graph.layers.values():
        if not can_refit(layer, n_images):
            continue
        module = model.get_submodule(layer.name)

        def accumulate(module, args, name=layer.name, groups=layer.groups):
            rows = sampled_rows(module, args[0], generator).double()
            rows = rows.reshape(len(rows), groups, -1).transpose(0, 1)  # (groups, samples, columns)
            product = rows.mT @ rows
            if name in sums:
                sums[name] += product
            else:
                sums[name] = product

        hooks.append(module.register_forward_pre_hook(accumulate))
    try:
        with torch.inference_mode():
            for images in batches:
                model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: gram.cpu() for name, gram in sums.items()}


def saliencies(
    model: nn.Module,
    graph: ChannelGraph,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
) -> tuple[torch.Tensor, ...]:
    """First-order Taylor importance of each unit's channels.

    A gate of 1 stands before every layer that reads a channel; the score is the mean over the
    images of the squared derivative of the loss by the channel's gates: what the loss would change
    by if the channel were removed (Molchanov et al., "Importance Estimation for Neural Network
    Pruning", CVPR 2019).

    Args:
        model: in eval mode; only run, never changed.
        graph: its channel graph.
        batches: calibration images (B, C, H, W) and labels (B,).

    Returns:
        (channels,) float64 for each unit.
    """
    gates: dict[str, torch.Tensor] = {}
    hooks = []
    readers = {name for unit in graph.units for name in unit.consumers}
    for name in readers:

        def gated(_module, args, name=name):
            inputs = args[0]
            # Convolutions have their channels second, linear layers last.
            dimension = 1 if inputs.dim() == 4 else inputs.dim() - 1
            shape = [len(inputs)] + [1] * (inputs.dim() - 1)
            shape[dimension] = inputs.shape[dimension]
            gates[name] = torch.ones(shape, dtype=inputs.dtype, device=inputs.device)
            return (inputs * gates[name].requires_grad_(), *args[1:])

        hooks.append(model.get_submodule(name).register_forward_pre_hook(gated))
    totals = [torch.zeros(unit.channels, dtype=torch.float64) for unit in graph.units]
    images = 0
    try:
        for inputs, labels in batches:
            with torch.enable_grad():
                loss = F.cross_entropy(model(inputs), labels.to(inputs.device), reduction="sum")
                derivatives = torch.autograd.grad(loss, list(gates.values()))
            images += len(inputs)
            by_layer = {
                name: derivative.flatten(1).double().cpu()
                for name, derivative in zip(gates, derivatives, strict=True)
            }
            for index, unit in enumerate(graph.units):
                each = torch.zeros(len(inputs), unit.channels, dtype=torch.float64)
                for name in unit.consumers:
                    axis = graph.layers[name].inputs
                    assert axis is not None
                    mine = torch.from_numpy(axis.unit == index)
                    channel = torch.from_numpy(axis.channel)[mine]
                    each.index_add_(1, channel, by_layer[name][:, mine])
                totals[index] += each.square().sum(0)
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(total / max(images, 1) for total in totals)


def can_refit(layer: Layer, n_images: int) -> bool:
    """Whether a unit feeds this layer and the calibration images determine its weights."""
    if layer.inputs is None or not layer.inputs.units:
        return False
    columns = len(layer.inputs) // layer.groups * layer.weights
    samples = n_images * min(POSITIONS_PER_IMAGE, layer.sites)
    return samples >= MIN_SAMPLES_PER_COLUMN * columns


def sampled_rows(
    module: nn.Module, inputs: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Rows of the layer's unfolded input at sampled output positions, shape (samples, columns).

    Only the sampled patches are gathered; unfolding whole feature maps costs most of the time.
    """
    if isinstance(module, nn.Linear):
        return inputs.reshape(-1, inputs.shape[-1])
    assert isinstance(module, nn.Conv2d)
    kernel_h, kernel_w = module.kernel_size
    stride_h, stride_w = module.stride
    dilation_h, dilation_w = module.dilation
    pad = module._reversed_padding_repeated_twice
    if any(pad):
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        inputs = F.pad(inputs, pad, mode=mode)
    batch, channels, height, width = inputs.shape
    out_h = (height - dilation_h * (kernel_h - 1) - 1) // stride_h + 1
    out_w = (width - dilation_w * (kernel_w - 1) - 1) // stride_w + 1
    n = min(POSITIONS_PER_IMAGE, out_h * out_w)
    # Distinct positions for each image: the first n of a random permutation.
    where = torch.rand(batch, out_h * out_w, generator=generator).argsort(1)[:, :n]
    top = (where // out_w * stride_h).to(inputs.device)
    left = (where % out_w * stride_w).to(inputs.device)
    image = torch.arange(batch, device=inputs.device)[:, None]
    patches = [
        inputs[image, :, top + i * dilation_h, left + j * dilation_w]  # (batch, n, channels)
        for i in range(kernel_h)
        for j in range(kernel_w)
    ]
    return torch.stack(patches, -1).reshape(batch * n, channels * kernel_h * kernel_w)
