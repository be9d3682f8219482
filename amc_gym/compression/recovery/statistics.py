"""Statistics of calibration inputs: Gram matrices of layers' inputs, and saliencies of channels.

Gram matrices are summed batch by batch in float64, so that memory does not grow with the number of
images.  On a GPU the products of some samples within a batch are in float32.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.nests import Nest, called, device_of, samples, take
from amc_gym.compression.evaluation import parallel
from amc_gym.compression.evaluation.batch_size import batch_size
from amc_gym.compression.evaluation.evaluator import channels_last
from amc_gym.compression.graph import ChannelGraph, Layer

POSITIONS_PER_IMAGE = 10
"""Sampled positions of a feature map per calibration image (the authors' code: 10)."""

MIN_SAMPLES_PER_COLUMN = 2
"""A layer with fewer calibration samples per column is not re-fitted."""

SPLIT = 256
"""Samples whose products are summed in float32 on a GPU; these sums are added in float64."""

MOST_COLUMNS = 8192
"""Most columns of a layer that is measured but not re-fitted: half a gigabyte of Gram matrix."""


def grams(
    model: nn.Module,
    graph: ChannelGraph,
    batches: Iterable[Nest],
    *,
    n_images: int,
    seed: int = 0,
    fast: nn.Module | None = None,
    lay: Callable[[Nest], Nest] = channels_last,
    wanted: Callable[[Layer, int], bool] | None = None,
) -> dict[str, torch.Tensor]:
    """Return Gram matrices of the unfolded inputs of convolutions and linear layers to re-fit.

    On a CPU small parts of each batch run on a core each, as in an evaluation.

    Args:
        model: in eval mode; only run, never changed.
        graph: its channel graph.
        batches: inputs, such as images (B, C, H, W), in the order that the seed refers to.
        n_images: total number of images, which decides which layers have enough samples.
        seed: of the sampled positions.
        fast: a network whose layers of the same names get the same inputs in less time.
        lay: puts images in the memory layout of that network.
        wanted: whether to include a layer, given the number of images; by default ``can_refit``.

    Returns:
        Layer name -> (groups, columns, columns) float64; a column is one (input channel, kernel
        position) in the order of ``weight.flatten(1)``.  Layers that read no unit or have too few
        samples (``MIN_SAMPLES_PER_COLUMN``) are left out.
    """
    wanted = wanted or can_refit
    generator = torch.Generator().manual_seed(seed)
    layers = {layer.name: layer for layer in graph.layers.values() if wanted(layer, n_images)}
    run = _Sampled(model, fast or model, layers, lay)
    sums: dict[str, torch.Tensor] = {}
    try:
        for images in batches:
            n, device = samples(images), device_of(images).type
            where = {
                name: random_positions(n * layer.folds, layer.sites // layer.folds, generator)
                for name, layer in layers.items()
                if isinstance(model.get_submodule(name), nn.Conv2d)
            }
            cores = parallel.executor() if device == "cpu" else parallel.Inline()
            size = batch_size(graph, n, device)
            parts = [slice(start, start + size) for start in range(0, n, size)]
            found = [cores.submit(run, images, where, part) for part in parts]
            rows = [future.result() for future in found]
            products = {
                name: cores.submit(_product, [part[name] for part in rows], layer.groups)
                for name, layer in layers.items()
            }
            for name, product in products.items():
                sums[name] = sums[name] + product.result() if name in sums else product.result()
    finally:
        run.close()
    return {name: gram.cpu() for name, gram in sums.items()}


class _Sampled:
    """Inputs of layers at sampled positions, collected by running a network."""

    def __init__(
        self,
        model: nn.Module,
        network: nn.Module,
        layers: Iterable[str],
        lay: Callable[[Nest], Nest],
    ) -> None:
        self._network, self._lay = network, lay
        self._state = threading.local()  # of the part that a thread works on
        self._hooks = [
            network.get_submodule(name).register_forward_pre_hook(
                partial(self._keep, name, model.get_submodule(name))
            )
            for name in layers
        ]

    def _keep(self, name: str, layer: nn.Module, _module: nn.Module, args: Any) -> None:
        self._state.rows[name] = rows_at(layer, args[0], self._state.where.get(name))

    def __call__(
        self, images: Nest, where: Mapping[str, torch.Tensor], part: slice
    ) -> dict[str, torch.Tensor]:
        """Return the rows of each layer, (samples, columns), for some of the images."""
        self._state.rows = {}
        self._state.where = {
            name: positions.unflatten(0, (samples(images), -1))[part].flatten(0, 1)
            for name, positions in where.items()
        }
        with torch.inference_mode():
            called(self._network, self._lay(take(images, part)))
        return self._state.rows

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()


def _product(parts: Sequence[torch.Tensor], groups: int) -> torch.Tensor:
    """Return the Gram matrix of rows, (groups, columns, columns) float64."""
    rows = torch.cat([*parts])
    rows = rows.reshape(len(rows), groups, -1).transpose(0, 1)  # (groups, samples, columns)
    # A GPU may be set to keep only ten bits of each float32 factor, which is too few.
    if rows.is_cuda and rows.dtype == torch.float32 and not torch.backends.cuda.matmul.allow_tf32:
        return split_product(rows)
    rows = rows.double()
    return rows.mT @ rows


def split_product(rows: torch.Tensor, size: int = SPLIT) -> torch.Tensor:
    """Return Gram matrices of rows, by short products in float32 that are summed in float64.

    Most GPUs take 32 to 64 times as long for float64.  An entry is off by less than 1e-6 of the
    root of its two diagonal entries: there are some rounding errors of 6e-8 within a product, and
    none between products.

    Args:
        rows: (groups, samples, columns) float32.
        size: number of samples in one product.

    Returns:
        (groups, columns, columns) float64.
    """
    groups, _, columns = rows.shape
    total = rows.new_zeros(groups, columns, columns, dtype=torch.float64)
    for part in rows.split(size, dim=1):
        total += part.mT @ part
    return total


Loss = Callable[[nn.Module, Nest, Nest], torch.Tensor]
"""Function (network, inputs, targets) -> the loss, summed over the samples."""


def cross_entropy(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the loss of classification."""
    return F.cross_entropy(network(images), labels.to(images.device), reduction="sum")


@recorded
def saliencies(
    model: nn.Module,
    graph: ChannelGraph,
    batches: Iterable[tuple[Nest, Nest]],
    loss: Loss = cross_entropy,
) -> tuple[torch.Tensor, ...]:
    """Return the first-order Taylor importance of each unit's channels.

    With a gate of 1 before every layer that reads a channel, the score is the mean over the images
    of the squared derivative of the loss with respect to the channel's gates, which estimates the
    change of the loss if the channel were removed (Molchanov et al., "Importance Estimation for
    Neural Network Pruning", CVPR 2019).

    Args:
        model: in eval mode; only run, never changed.
        graph: its channel graph.
        batches: inputs and targets, such as images (B, C, H, W) and labels (B,).
        loss: summed over the samples of a batch.

    Returns:
        (channels,) float64 for each unit.
    """
    gates: list[tuple[str, torch.Tensor]] = []  # a layer that runs twice has two
    hooks = []
    readers = {name for unit in graph.units for name in unit.consumers}
    for name in readers:

        def gated(_module, args, name=name):
            inputs = args[0]
            # Convolutions have their channels second, linear layers last.
            dimension = inputs.dim() - 1 if graph.layers[name].kind == "linear" else 1
            shape = [len(inputs)] + [1] * (inputs.dim() - 1)
            shape[dimension] = inputs.shape[dimension]
            gate = torch.ones(shape, dtype=inputs.dtype, device=inputs.device).requires_grad_()
            gates.append((name, gate))
            return (inputs * gate, *args[1:])

        hooks.append(model.get_submodule(name).register_forward_pre_hook(gated))
    totals = [torch.zeros(unit.channels, dtype=torch.float64) for unit in graph.units]
    images = 0
    try:
        for inputs, targets in batches:
            gates.clear()
            n, lost = samples(targets), loss(model, inputs, targets)
            derivatives = torch.autograd.grad(lost, [gate for _, gate in gates], allow_unused=True)
            images += n
            by_layer: dict[str, torch.Tensor] = {}
            for (name, _), derivative in zip(gates, derivatives, strict=True):
                if derivative is None:  # the loss does not depend on the layer
                    continue
                each = derivative.flatten(1).double().cpu()
                # Crops and windows of one image are separate rows, which are summed for the image.
                each = each.unflatten(0, (-1, n)).sum(0)
                by_layer[name] = by_layer[name] + each if name in by_layer else each
            for index, unit in enumerate(graph.units):
                each = torch.zeros(n, unit.channels, dtype=torch.float64)
                for name in unit.consumers:
                    if name not in by_layer:  # its weight is used, but the layer is not run
                        continue
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
    """Return whether a layer reads a unit and has enough calibration samples to be re-fitted."""
    samples = samples_of(layer, n_images)
    return layer.refits and 0 < MIN_SAMPLES_PER_COLUMN * pruned_columns(layer) <= samples


def samples_of(layer: Layer, images: int, positions: int = POSITIONS_PER_IMAGE) -> int:
    """Return a layer's number of samples, at ``positions`` positions of each image or all."""
    return images * layer.folds * min(positions, layer.sites // layer.folds)


def only_measurable(layer: Layer, n_images: int) -> bool:
    """Return whether a layer that reads a unit is not re-fitted but small enough to be measured."""
    fits = layer.refits and 0 < pruned_columns(layer) <= MOST_COLUMNS
    return fits and not can_refit(layer, n_images)


def pruned_columns(layer: Layer) -> int:
    """Return the number of columns of a layer's unfolded input; 0 if it reads no unit."""
    if layer.inputs is None or not layer.inputs.units:
        return 0
    return len(layer.inputs) // layer.groups * layer.weights


def random_positions(
    images: int, sites: int, generator: torch.Generator, most: int = POSITIONS_PER_IMAGE
) -> torch.Tensor:
    """Return distinct output positions for each image, (images, positions per image)."""
    n = min(most, sites)
    # These are the first n of a random permutation.
    return torch.rand(images, sites, generator=generator).topk(n, largest=False).indices


def rows_at(module: nn.Module, inputs: torch.Tensor, where: torch.Tensor | None) -> torch.Tensor:
    """Return rows of the layer's unfolded input at output positions, (samples, columns).

    Only these patches are gathered, because unfolding whole feature maps takes most of the time.

    Args:
        module: a convolution, or a linear layer, of which all rows are returned.
        inputs: inputs of the layer.
        where: output positions of each image, (images, n); None for a linear layer.
    """
    if where is None:
        return inputs.reshape(-1, inputs.shape[-1])
    assert isinstance(module, nn.Conv2d)
    kernel_h, kernel_w = module.kernel_size
    stride_h, stride_w = module.stride
    dilation_h, dilation_w = module.dilation
    _, out_w = _outputs(module, inputs)
    pad_left, _, pad_top, _ = padding = module._reversed_padding_repeated_twice
    if module.padding_mode != "zeros":
        inputs = F.pad(inputs, padding, mode=module.padding_mode)
        pad_left = pad_top = 0
    height, width = inputs.shape[-2:]
    top = (where // out_w * stride_h).to(inputs.device) - pad_top
    left = (where % out_w * stride_w).to(inputs.device) - pad_left
    image = torch.arange(len(inputs), device=inputs.device)[:, None]

    def patch(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, n, channels) at these positions, with zeros outside."""
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        found = inputs[image, :, y.clamp(0, height - 1), x.clamp(0, width - 1)]
        return found.masked_fill_(~inside[..., None], 0)

    patches = [
        patch(top + i * dilation_h, left + j * dilation_w)
        for i in range(kernel_h)
        for j in range(kernel_w)
    ]
    return torch.stack(patches, -1).flatten(0, 1).flatten(1)


def _outputs(module: nn.Conv2d, inputs: torch.Tensor) -> tuple[int, int]:
    """Return height and width of the layer's output."""
    left, right, top, bottom = module._reversed_padding_repeated_twice
    height, width = (
        (inputs.shape[axis] + padding - module.dilation[i] * (module.kernel_size[i] - 1) - 1)
        // module.stride[i]
        + 1
        for i, (axis, padding) in enumerate(((2, top + bottom), (3, left + right)))
    )
    return height, width
