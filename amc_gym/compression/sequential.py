"""Sequential reconstruction: each layer re-fitted on what the pruned layers before it produce.

Layer by layer in execution order, with X the unfolded inputs of the original network and X~ those
of the slim one, whose earlier layers are re-fitted already:

    W = argmin |X~ W - X W0|^2 + ridge |W - W_kept|^2
      = (X~'X~ + ridge I)^-1 (X~' Y + ridge W_kept),   Y = X W0

It costs one pass over the images for each plan: a layer is fitted the moment its inputs arrive,
and its outputs, on which the next layer is fitted, are computed with the new weights.

The nonlinear variant has an offset for each output as well, and before a ReLU fits what comes
behind it (`nonlinear`).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from amc_gym.compression.graph import ChannelGraph, Layer
from amc_gym.compression.nonlinear import add_offset, affine, fit_behind_relu, has_offset
from amc_gym.compression.reconstruction import RIDGE, as_matrix, as_weight
from amc_gym.compression.slim import Kept
from amc_gym.compression.statistics import can_refit, sampled_rows

IMAGE_BYTES = 256 * 2**20
"""Activations of the widest layer that the images, which go through together, may take."""

MOST_IMAGES = 1000
"""Three times as many, of a third of the positions each, were measured to fit no better."""

POSITIONS = 30
"""Sampled for each image."""

ROWS = 4096
"""Whose products are summed in the images' own precision; the sums of these are in float64."""


class Targets:
    """Original outputs of each layer, without bias, at sampled positions.

    Args:
        model: the original network, in eval mode.
        graph: its channel graph.
        batches: calibration images; the first that fit into ``IMAGE_BYTES`` are used.
        seed: of the sampled positions.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: ChannelGraph,
        batches: Iterable[torch.Tensor],
        seed: int = 0,
    ) -> None:
        widest = max(len(layer.outputs) * max(layer.sites, 1) for layer in graph.layers.values())
        n = min(MOST_IMAGES, max(1, IMAGE_BYTES // (4 * widest)))
        chosen: list[torch.Tensor] = []
        for batch in batches:
            chosen.append(batch[: n - sum(map(len, chosen))])
            if sum(map(len, chosen)) == n:
                break
        self.images = torch.cat(chosen)
        self._seed = seed
        n = len(self.images)
        self.layers = [layer for layer in graph.layers.values() if can_refit(layer, n, POSITIONS)]
        self.outputs: dict[str, torch.Tensor] = {}

        def remember(layer: Layer, rows: torch.Tensor, module: nn.Module) -> None:
            weight = module.weight
            assert isinstance(weight, torch.Tensor)
            self.outputs[layer.name] = rows @ as_matrix(weight, layer.groups).to(rows)

        self.visit(model, remember)

    def visit(self, network: nn.Module, see) -> None:
        """Run ``network``; as its inputs reach a layer, call ``see(layer, rows, module)``.

        ``rows`` are the inputs at this layer's sampled positions, (groups, samples, columns): the
        same positions for every network.
        """
        hooks = []
        for index, layer in enumerate(self.layers):

            def arrived(module, args, layer=layer, index=index):
                generator = torch.Generator().manual_seed(self._seed + index)
                rows = sampled_rows(module, args[0], generator, POSITIONS)
                see(layer, rows.reshape(len(rows), layer.groups, -1).transpose(0, 1), module)

            hooks.append(network.get_submodule(layer.name).register_forward_pre_hook(arrived))
        try:
            with torch.inference_mode(), torch.no_grad():
                network(self.images)
        finally:
            for hook in hooks:
                hook.remove()


def refit_sequentially(
    network: nn.Module, graph: ChannelGraph, kept: Kept, targets: Targets, *, nonlinear: bool
) -> None:
    """Re-fit the layers of a slim network in place, in execution order.

    Args:
        network: the slim network of ``kept``, in eval mode.
        graph: the channel graph of the original one.
        kept: kept channels of each unit.
        targets: the original outputs.
        nonlinear: whether outputs have offsets and count behind their ReLU.
    """

    def fit(layer: Layer, rows: torch.Tensor, module: nn.Module) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        outputs = torch.from_numpy(layer.outputs.kept(kept)).to(rows.device)
        full = targets.outputs[layer.name]  # (groups, samples, outputs / groups)
        wanted = full.transpose(0, 1).flatten(1)[:, outputs]
        wanted = wanted.reshape(len(wanted), layer.groups, -1).transpose(0, 1)
        norm = None if layer.norm is None else network.get_submodule(layer.norm)
        offset = nonlinear and has_offset(module, norm)
        squares = LeastSquares(rows, as_matrix(weight, layer.groups).to(rows), offset=offset)
        if offset and layer.relu:
            fit_behind_relu(squares.fit, wanted, *affine(module, norm, layer.groups))
        else:
            squares.fit(wanted)
        weight.data.copy_(as_weight(squares.weights, weight))
        if offset:
            add_offset(module, norm, squares.offset.flatten())

    targets.visit(network, fit)


class LeastSquares:
    """Weights near given ones that bring inputs to wanted outputs, factored once.

    The change of the weights is fitted to what is missing, so that nothing changes where nothing
    is missing, whatever the rounding.

    Args:
        rows: inputs, (groups, samples, columns).
        start: the given weights, (groups, columns, outputs).
        offset: whether outputs have one, which costs nothing.

    Attributes:
        weights: of the last fit, (groups, columns, outputs).
        offset: of the last fit, (groups, 1, outputs).
    """

    def __init__(self, rows: torch.Tensor, start: torch.Tensor, *, offset: bool) -> None:
        self._mean = rows.mean(1, keepdim=True) if offset else torch.zeros_like(rows[:, :1])
        self._rows = rows - self._mean if offset else rows
        self._start = start
        self._predicted = self._rows @ start
        gram = self._products(self._rows)
        ridge = RIDGE * gram.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
        ridge = torch.where(ridge > 0, ridge, 1.0)
        self._factor = torch.linalg.lu_factor(gram + ridge * torch.eye(gram.shape[-1]).to(gram))
        self._movable = offset
        self.weights, self.offset = start, torch.zeros_like(start[:, :1])

    def fit(self, wanted: torch.Tensor) -> torch.Tensor:
        """Fit to wanted outputs, (groups, samples, outputs), and return those of the weights."""
        missing = wanted - self._predicted
        middle = missing.mean(1, keepdim=True) if self._movable else 0.0
        change = torch.linalg.lu_solve(*self._factor, self._products(missing - middle))
        self.weights = self._start + change.to(self._start)
        if self._movable:
            self.offset = middle - self._mean @ self.weights
        return self._rows @ self.weights + middle

    def _products(self, others: torch.Tensor) -> torch.Tensor:
        """``rows' others`` in float64."""
        total = torch.zeros(1, dtype=torch.float64, device=others.device)
        for mine, other in zip(self._rows.split(ROWS, 1), others.split(ROWS, 1), strict=True):
            total = total + (mine.mT @ other).double()
        return total
