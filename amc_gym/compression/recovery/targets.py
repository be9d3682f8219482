"""Original outputs of each layer, at sampled positions of some calibration images."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import nn

from amc_gym._utils.nests import Nest, called, device_of, first_samples, joined, samples, take
from amc_gym.compression.evaluation.batch_size import batch_size
from amc_gym.compression.evaluation.evaluator import channels_last
from amc_gym.compression.graph import ChannelGraph, Layer
from amc_gym.compression.recovery.lockstep import Arrive, lockstep
from amc_gym.compression.recovery.reconstruction import as_matrix
from amc_gym.compression.recovery.shortcuts import Calls, find
from amc_gym.compression.recovery.statistics import (
    MOST_COLUMNS,
    pruned_columns,
    random_positions,
    rows_at,
    samples_of,
)

IMAGE_BYTES = 256 * 2**20
"""Most bytes of activations of the images that go through a layer together."""

MOST_IMAGES = 1000
"""Most images; three times as many, with a third of the positions each, fitted no better."""

POSITIONS = 30
"""Sampled positions for each image."""

DEPTHWISE_POSITIONS = 6
"""Sampled positions for each image at depthwise convolutions, whose channels have few weights."""

SAMPLES_PER_COLUMN = 0.5
"""A layer with fewer is not re-fitted; with few, held-out images decide how far to go."""

HELD_OUT = 5
"""One in this many images is held out, for choosing among fits."""


@dataclass(frozen=True)
class Rows:
    """Samples of a layer from calibration images: those to fit to, then the held-out ones.

    Attributes:
        inputs: (groups, samples, columns).
        added: what the layer's output will be added to, if anything: (groups, samples, outputs).
        fitted: number of samples to fit to, at least one and not all.
    """

    inputs: torch.Tensor
    added: torch.Tensor | None
    fitted: int


@dataclass(frozen=True)
class _BatchRows:
    """Samples of a layer from one batch.

    Attributes:
        inputs: (samples, columns).
        added: what the output is added to, if anything, (samples, outputs).
        held_out: mask of the held-out images, (images,).
    """

    inputs: torch.Tensor
    added: torch.Tensor | None
    held_out: torch.Tensor


OnLayer = Callable[[Layer, Rows, nn.Module], None]
"""Callback with (layer, its rows, its module) before each layer runs."""


class Targets:
    """Original outputs of each layer, without bias, at sampled positions.

    As many images take part at a layer as fit into ``IMAGE_BYTES`` there and in later layers: late
    layers, which are narrow and have many weights, have more.

    Args:
        model: the original network, in eval mode.
        graph: its channel graph.
        batches: calibration images, of which the first ``MOST_IMAGES`` at most are used.
        seed: of the sampled positions.

    Attributes:
        batches: images, equally many in every batch but the last.
        layers: layers with outputs, in execution order.
        outputs: by layer, (groups, samples, outputs), in the order of ``Rows``.
        added: what they are added to, of the same shape, for layers with a shortcut.
        answers: outputs of the network itself, for each batch of ``held_out``.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: ChannelGraph,
        batches: Iterable[Nest],
        seed: int = 0,
    ) -> None:
        room = _images_at(graph)
        self.batches = _split(batches, graph, max(room.values()))
        ends = list(accumulate(map(samples, self.batches)))
        self._seed = seed
        self._takers: dict[str, int] = {}
        for layer in graph.layers.values():
            takers = max(1, sum(end <= room[layer.name] for end in ends))
            if _fits(layer, ends[takers - 1]):
                self._takers[layer.name] = takers
        self.layers = [graph.layers[name] for name in self._takers]
        last = {layer.name: layer.norm or layer.name for layer in self.layers}
        self.shortcuts = find(model, take(self.batches[0], slice(1)), last)
        self.outputs: dict[str, torch.Tensor] = {}
        self.added: dict[str, torch.Tensor] = {}

        def remember(layer: Layer, rows: Rows, module: nn.Module) -> None:
            weight = module.weight
            assert isinstance(weight, torch.Tensor)
            matrix = as_matrix(weight, groups_of(module)).to(rows.inputs)
            self.outputs[layer.name] = rows.inputs @ matrix
            if rows.added is not None:
                self.added[layer.name] = rows.added

        self.visit(model, remember)
        with torch.inference_mode():
            self.answers = [called(model, images) for images in self.held_out]

    @property
    def held_out(self) -> list[Nest]:
        """Held-out images, in batches."""
        starts = accumulate(map(samples, self.batches), initial=0)
        return [
            take(batch, torch.nonzero(is_held_out(start, samples(batch))).flatten())
            for start, batch in zip(starts, self.batches, strict=False)
        ]

    def visit(self, network: nn.Module, on_layer: OnLayer) -> None:
        """Run ``network``, and call ``on_layer`` for each layer before it runs, with its inputs.

        Rows are taken at the layer's sampled positions, which are the same for every network.
        """

        def run(number: int, arrive: Arrive) -> None:
            self._run(network, number, arrive)

        def meet(stop: int, batch_rows: list[_BatchRows]) -> None:
            layer = self.layers[stop]
            module = network.get_submodule(layer.name)
            with torch.inference_mode():
                on_layer(layer, _rows(batch_rows, groups_of(module)), module)

        lockstep(run, list(self._takers.values()), meet)

    def _run(self, network: nn.Module, number: int, arrive: Arrive) -> None:
        """Run one batch, with a stop at each layer in which it takes part."""
        calls = Calls(frozenset(shortcut.call for shortcut in self.shortcuts.values()))
        images, thread, hooks = self.batches[number], threading.get_ident(), []
        for index, layer in enumerate(self.layers):
            if number >= self._takers[layer.name]:
                continue

            def arrived(module, args, layer=layer, index=index):
                if threading.get_ident() == thread:  # other batches use the same modules
                    with calls.paused():
                        where = self._where(layer, index, number, len(args[0]))
                        arrive(index, self._brought(number, layer, module, args[0], where, calls))

            hooks.append(network.get_submodule(layer.name).register_forward_pre_hook(arrived))
        try:
            with torch.inference_mode(), torch.no_grad(), calls:
                called(network, images)
        finally:
            for hook in hooks:
                hook.remove()

    def _where(self, layer: Layer, index: int, number: int, images: int) -> torch.Tensor | None:
        """Return the sampled output positions of a layer for one batch, (images, positions)."""
        if layer.kind == "linear":
            return None
        seed = self._seed + index + number * len(self.layers)
        generator = torch.Generator().manual_seed(seed)
        sites = layer.sites // layer.folds
        return random_positions(images, sites, generator, _positions(layer))

    def _brought(
        self,
        number: int,
        layer: Layer,
        module: nn.Module,
        inputs: torch.Tensor,
        where: torch.Tensor | None,
        calls: Calls,
    ) -> _BatchRows:
        added, shortcut = None, self.shortcuts.get(layer.name)
        if where is not None and shortcut is not None:
            maps = calls.results[shortcut.call].flatten(2).transpose(1, 2)  # (images, sites, ...)
            added = maps[torch.arange(len(maps))[:, None], where].flatten(0, 1)
        images = samples(self.batches[number])
        start = number * samples(self.batches[0])
        return _BatchRows(rows_at(module, inputs, where), added, is_held_out(start, images))


def grouped(rows: torch.Tensor, groups: int) -> torch.Tensor:
    """Reshape (samples, columns) -> (groups, samples, columns / groups)."""
    return rows.reshape(len(rows), groups, -1).transpose(0, 1)


def _images_at(graph: ChannelGraph) -> dict[str, int]:
    """Return how many images may take part at each layer, which never decreases."""
    layers = list(graph.layers.values())
    sizes = [4 * len(layer.outputs) * max(layer.sites, 1) for layer in layers]
    read = [sizes[0], *sizes[:-1]]  # a layer's inputs are kept until all batches have arrived
    widest = list(accumulate(reversed(read), max, initial=sizes[-1]))[:0:-1]
    return {
        layer.name: min(MOST_IMAGES, max(1, IMAGE_BYTES // size))
        for layer, size in zip(layers, widest, strict=True)
    }


def _split(batches: Iterable[Nest], graph: ChannelGraph, most: int) -> list[Nest]:
    """Return the first ``most`` images of some batches, in batches as in an evaluation."""
    images = joined(list(first_samples(batches, most)))
    count = samples(images)
    size = batch_size(graph, count, device_of(images).type)
    return [
        channels_last(take(images, slice(start, start + size))) for start in range(0, count, size)
    ]


def _fits(layer: Layer, images: int) -> bool:
    """Return whether a layer can be fitted to so many images."""
    if images < HELD_OUT or not layer.refits:
        return False
    if layer.kind == "depthwise":
        return True
    columns = pruned_columns(layer)
    found = samples_of(layer, images, POSITIONS)
    return 0 < columns <= MOST_COLUMNS and SAMPLES_PER_COLUMN * columns <= found


def _positions(layer: Layer) -> int:
    return DEPTHWISE_POSITIONS if layer.kind == "depthwise" else POSITIONS


def groups_of(module: nn.Module) -> int:
    """Return a module's own groups; a slim depthwise module has fewer than its layer."""
    return module.groups if isinstance(module, nn.Conv2d) else 1


def is_held_out(start: int, images: int) -> torch.Tensor:
    """Return which images of a batch, whose first has the number ``start``, are held out.

    One in every ``HELD_OUT`` is chosen at random: with classes in turn, every fifth image would
    always belong to the same few classes, and no other image would.

    Returns:
        (images,), bool.
    """
    numbers = torch.arange(start, start + images)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(HELD_OUT, (MOST_IMAGES // HELD_OUT + 1,), generator=generator)
    return numbers % HELD_OUT == chosen[numbers // HELD_OUT]


def _rows(batch_rows: list[_BatchRows], groups: int) -> Rows:
    """Join what batches bring, with all samples to fit to first."""
    parts = [each.inputs for each in batch_rows]
    held = torch.cat(
        [
            each.held_out.repeat_interleave(len(part) // len(each.held_out))
            for each, part in zip(batch_rows, parts, strict=True)
        ]
    )
    order = torch.argsort(held.byte(), stable=True)
    added = [each.added for each in batch_rows if each.added is not None]
    return Rows(
        grouped(torch.cat(parts)[order], groups),
        grouped(torch.cat(added)[order], groups) if added else None,
        int((~held).sum()),
    )
