"""Least-squares reconstruction: the kept weights of a layer reproduce its original output.

The layer's target is the linear part of its own output, Y = X W0, so X'Y = G W0 and only the Gram
matrix G = X'X of its unfolded inputs is ever needed; it is summed batch by batch in float64.  The
ridge pulls towards W0 rather than 0, so that keeping everything returns the original weights:

    W_S = argmin |X_S W - X W0|^2 + ridge |W - W0_S|^2  =  (G' _SS)^-1 G'_S: W0,   G' = G + ridge I

Where the kept sets are nested (a ranking), G' is ordered by rank and factored once, and the best
weights for every number of kept columns are products of leading blocks of the same two matrices.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional as F

from amc_gym.compression.graph import ChannelGraph, Layer

RIDGE = 1e-5
"""Of the mean diagonal of G."""

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
        Layer name -> (columns, columns) float64; a column is one (input channel, kernel position)
        in the order of ``weight.flatten(1)``.  Layers that no unit feeds or that have too few
        samples (``MIN_SAMPLES_PER_COLUMN``) are missing.
    """
    generator = torch.Generator().manual_seed(seed)
    sums: dict[str, torch.Tensor] = {}
    hooks = []
    for layer in graph.layers.values():
        if not can_refit(layer, n_images):
            continue
        module = model.get_submodule(layer.name)

        def accumulate(module, args, name=layer.name):
            rows = _sampled_rows(module, args[0], generator).double()
            if name in sums:
                sums[name].addmm_(rows.T, rows)
            else:
                sums[name] = rows.T @ rows

        hooks.append(module.register_forward_pre_hook(accumulate))
    try:
        with torch.inference_mode():
            for images in batches:
                model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: gram.cpu() for name, gram in sums.items()}


def can_refit(layer: Layer, n_images: int) -> bool:
    """Whether a unit feeds this layer and the calibration images determine its weights."""
    if layer.inputs is None or not layer.inputs.units:
        return False
    columns = len(layer.inputs) * layer.weights
    samples = n_images * min(POSITIONS_PER_IMAGE, layer.sites)
    return samples >= MIN_SAMPLES_PER_COLUMN * columns


def _sampled_rows(
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


def _ridged(gram: torch.Tensor, ridge: float) -> torch.Tensor:
    ridged = gram.clone()
    ridged.diagonal().add_(ridge * float(gram.diagonal().mean()) or 1.0)  # dead inputs: any ridge
    return ridged


def least_squares(
    gram: torch.Tensor, weight: torch.Tensor, columns: torch.Tensor, ridge: float = RIDGE
) -> torch.Tensor:
    """Best weights of the kept ``columns``: the plain solution, for any kept set.

    Args:
        gram: (columns, columns) float64.
        weight: original weights, (columns, outputs) float64.
        columns: kept column indices, (k,).

    Returns:
        (k, outputs) float64.
    """
    ridged = _ridged(gram, ridge)
    return torch.linalg.solve(ridged[columns][:, columns], ridged[columns] @ weight)


class NestedLeastSquares:
    """The same for the nested kept sets of one ranking, factored once.

    With G' ordered by rank, G' = L L' and L Z = G' W0, the best weights of the first k columns
    solve L[:k, :k]' W = Z[:k].  The inverse of a leading block of a triangular matrix is the
    leading block of its inverse, so with U = L'^-1 they are one product, W = U[:k, :k] Z[:k]: a
    third of the time of the back-substitution.

    Args:
        gram: (columns, columns) float64.
        weight: original weights, (columns, outputs) float64.
        order: all columns, most important first.
        ridge: of the mean diagonal of the Gram matrix.
        dtype: of the product; everything before it is float64.
    """

    def __init__(
        self,
        gram: torch.Tensor,
        weight: torch.Tensor,
        order: torch.Tensor,
        ridge: float = RIDGE,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        ridged = _ridged(gram, ridge)
        factor = torch.linalg.cholesky(ridged[order][:, order])
        target = torch.linalg.solve_triangular(factor, ridged[order] @ weight, upper=False)
        identity = torch.eye(len(factor), dtype=factor.dtype)
        inverse = torch.linalg.solve_triangular(factor.T, identity, upper=True)
        self._order = order
        self._inverse = inverse.to(dtype)
        self._target = target.to(dtype)

    def weights(self, k: int) -> torch.Tensor:
        """Best weights of the first ``k`` columns, in ascending column order, (k, outputs)."""
        solved = self._inverse[:k, :k] @ self._target[:k]
        return solved[self._order[:k].argsort()]
