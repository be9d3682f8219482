"""Original outputs of each layer, at sampled positions of some calibration images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn

from amc_gym._utils.nests import Nest, called, joined, samples, take
from amc_gym.compression.graph import ChannelGraph, Layer
from amc_gym.compression.recovery.reconstruction import as_matrix
from amc_gym.compression.recovery.shortcuts import Calls, find
from amc_gym.compression.recovery.statistics import can_refit, random_positions, rows_at

IMAGE_BYTES = 256 * 2**20
"""Activations of the widest layer that the images, which go through together, may take."""

MOST_IMAGES = 1000
"""Three times as many, of a third of the positions each, were measured to fit no better."""

POSITIONS = 30
"""Sampled for each image."""

See = Callable[[Layer, torch.Tensor, torch.Tensor | None, nn.Module], None]
"""Told (layer, inputs, what its output will be added to if anything, module) of each layer."""


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
        batches: Iterable[Nest],
        seed: int = 0,
    ) -> None:
        widest = max(len(layer.outputs) * max(layer.sites, 1) for layer in graph.layers.values())
        n = min(MOST_IMAGES, max(1, IMAGE_BYTES // (4 * widest)))
        chosen: list[Nest] = []
        for batch in batches:
            chosen.append(take(batch, slice(n - sum(map(samples, chosen)))))
            if sum(map(samples, chosen)) == n:
                break
        self.images = joined(chosen)
        self._seed = seed
        n = samples(self.images)
        self.layers = [layer for layer in graph.layers.values() if can_refit(layer, n, POSITIONS)]
        ends = {layer.name: layer.norm or layer.name for layer in self.layers}
        self.shortcuts = find(model, take(self.images, slice(1)), ends)
        self.outputs: dict[str, torch.Tensor] = {}
        self.added: dict[str, torch.Tensor] = {}

        def remember(
            layer: Layer, rows: torch.Tensor, added: torch.Tensor | None, module: nn.Module
        ) -> None:
            weight = module.weight
            assert isinstance(weight, torch.Tensor)
            self.outputs[layer.name] = rows @ as_matrix(weight, layer.groups).to(rows)
            if added is not None:
                self.added[layer.name] = added

        self.visit(model, remember)

    def visit(self, network: nn.Module, see: See) -> None:
        """Run ``network``, and tell of each layer as its inputs reach it.

        Inputs, (groups, samples, columns), and what the output is added to, (groups, samples,
        outputs), are at the layer's sampled positions: the same for every network.
        """
        calls = Calls(frozenset(shortcut.call for shortcut in self.shortcuts.values()))
        hooks = []
        for index, layer in enumerate(self.layers):

            def arrived(module, args, layer=layer, index=index):
                with calls.paused():
                    self._arrived(layer, index, module, args[0], calls.results, see)

            hooks.append(network.get_submodule(layer.name).register_forward_pre_hook(arrived))
        try:
            with torch.inference_mode(), torch.no_grad(), calls:
                called(network, self.images)
        finally:
            for hook in hooks:
                hook.remove()

    def _arrived(
        self,
        layer: Layer,
        index: int,
        module: nn.Module,
        inputs: torch.Tensor,
        results: Mapping[int, torch.Tensor],
        see: See,
    ) -> None:
        generator = torch.Generator().manual_seed(self._seed + index)
        where = added = None
        if isinstance(module, nn.Conv2d):
            sites = layer.sites // layer.folds
            where = random_positions(len(inputs), sites, generator, POSITIONS)
            if (shortcut := self.shortcuts.get(layer.name)) is not None:
                maps = results[shortcut.call].flatten(2).transpose(1, 2)  # (images, sites, outputs)
                image = torch.arange(len(maps))[:, None]
                added = grouped(maps[image, where].flatten(0, 1), layer.groups)
        see(layer, grouped(rows_at(module, inputs, where), layer.groups), added, module)


def grouped(rows: torch.Tensor, groups: int) -> torch.Tensor:
    """Return (samples, columns) -> (groups, samples, columns / groups)."""
    return rows.reshape(len(rows), groups, -1).transpose(0, 1)
