"""Sequential reconstruction: each layer re-fitted on what the pruned layers before it produce.

Layer by layer in execution order, with X the unfolded inputs of the original network and X~ those
of the slim one, whose earlier layers are re-fitted already:

    W = argmin |X~ W - X W0|^2 + ridge |W - W_kept|^2
      = (X~'X~ + ridge I)^-1 (X~' Y + ridge W_kept),   Y = X W0

It costs one pass over the images for each plan: a layer is fitted the moment its inputs arrive,
and its outputs, on which the next layer is fitted, are computed with the new weights.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from amc_gym.compression.graph import ChannelGraph, Layer
from amc_gym.compression.reconstruction import RIDGE, as_matrix, as_weight
from amc_gym.compression.slim import Kept
from amc_gym.compression.statistics import can_refit, sampled_rows

IMAGE_BYTES = 256 * 2**20
"""Activations of the widest layer that the images, which go through together, may take."""


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
        n = max(1, IMAGE_BYTES // (4 * widest))
        chosen: list[torch.Tensor] = []
        for batch in batches:
            chosen.append(batch[: n - sum(map(len, chosen))])
            if sum(map(len, chosen)) == n:
                break
        self.images = torch.cat(chosen)
        self._seed = seed
        self.layers = [
            layer for layer in graph.layers.values() if can_refit(layer, len(self.images))
        ]
        self.outputs: dict[str, torch.Tensor] = {}

        def remember(layer: Layer, rows: torch.Tensor, module: nn.Module) -> None:
            weight = module.weight
            assert isinstance(weight, torch.Tensor)
            self.outputs[layer.name] = rows @ as_matrix(weight, layer.groups).to(rows)

        self.visit(model, remember)

    def visit(self, network: nn.Module, see) -> None:
        """Run ``network``; as its inputs reach a layer, call ``see(layer, rows, module)``.

        ``rows`` are the inputs at this layer's sampled positions, (groups, samples, columns)
        float64: the same positions for every network.
        """
        hooks = []
        for index, layer in enumerate(self.layers):

            def arrived(module, args, layer=layer, index=index):
                generator = torch.Generator().manual_seed(self._seed + index)
                rows = sampled_rows(module, args[0], generator).double()
                see(layer, rows.reshape(len(rows), layer.groups, -1).transpose(0, 1), module)

            hooks.append(network.get_submodule(layer.name).register_forward_pre_hook(arrived))
        try:
            with torch.inference_mode(), torch.no_grad():
                network(self.images)
        finally:
            for hook in hooks:
                hook.remove()


def refit_sequentially(
    network: nn.Module, graph: ChannelGraph, kept: Kept, targets: Targets
) -> None:
    """Re-fit the layers of a slim network in place, in execution order.

    Args:
        network: the slim network of ``kept``, in eval mode.
        graph: the channel graph of the original one.
        kept: kept channels of each unit.
        targets: the original outputs.
    """

    def fit(layer: Layer, rows: torch.Tensor, module: nn.Module) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        outputs = torch.from_numpy(layer.outputs.kept(kept)).to(rows.device)
        full = targets.outputs[layer.name]  # (groups, samples, outputs / groups)
        wanted = full.transpose(0, 1).flatten(1)[:, outputs]
        wanted = wanted.reshape(len(wanted), layer.groups, -1).transpose(0, 1)
        start = as_matrix(weight, layer.groups).to(rows)
        gram = rows.mT @ rows
        ridge = RIDGE * gram.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
        ridge = torch.where(ridge > 0, ridge, 1.0)
        solved = torch.linalg.solve(
            gram + ridge * torch.eye(gram.shape[-1]).to(rows), rows.mT @ wanted + ridge * start
        )
        weight.data.copy_(as_weight(solved, weight))

    targets.visit(network, fit)
