"""Channel counts -> the small network that is evaluated.

Two ways.  Where the recovery only selects and re-fits weights, one network stays and a plan's
tensors are swapped into it.  Steps that have to run the network (re-estimated statistics,
sequential reconstruction, fine-tuning) build it for each plan.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import nn

from amc_gym.compression.evaluation.folding import fold_norms
from amc_gym.compression.evaluation.parallel import torch_threads
from amc_gym.compression.evaluation.pointwise import with_pointwise
from amc_gym.compression.graph import ChannelGraph, Layer
from amc_gym.compression.pruning.pruner import Pruner


class TensorSource(Protocol):
    """A pruner: gives each layer's tensors for a plan."""

    @property
    def graph(self) -> ChannelGraph:
        """Of the network that the tensors belong to."""
        ...

    def tensors(self, counts: Sequence[int], name: str, /) -> dict[str, torch.Tensor]:
        """The tensors of one layer that differ from the original's."""
        ...


class SwappedNetwork:
    """A network into whose modules a plan's tensors are swapped; no module is ever built.

    What a plan costs beyond the forward pass is one small matrix product for each re-fitted layer.
    There are a few such networks, in turn, so that a plan can be made ready while others run.

    Args:
        model: the network of ``pruner``, norms folded where they can be, in eval mode.
        pruner: gives each layer's tensors.
        device: where to run.
        dtype: of weights.
    """

    overlap = 4

    def __init__(
        self, model: nn.Module, pruner: TensorSource, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._pruner = pruner
        self._like = {"device": device, "dtype": dtype}
        first = with_pointwise(
            copy.deepcopy(model).to(**self._like, memory_format=torch.channels_last)
        )
        # Copies of the modules, with the same tensors.
        tensors = {id(t): t for t in (*first.parameters(), *first.buffers())}
        others = [copy.deepcopy(first, dict(tensors)) for _ in range(self.overlap - 1)]
        self._networks = deque(
            (network, [(layer, network.get_submodule(layer.name)) for layer in self._layers])
            for network in (first, *others)
        )

    @property
    def _layers(self) -> Iterable[Layer]:
        return self._pruner.graph.layers.values()

    def __call__(self, counts: Sequence[int]) -> nn.Module:
        """A network set to a plan; valid until the next ``overlap`` calls."""
        self._networks.rotate()
        network, modules = self._networks[0]
        with torch_threads(1):  # others may be at work on the remaining cores
            for layer, module in modules:
                self._swap(layer, module, self._pruner.tensors(counts, layer.name))
        if isinstance(self._pruner, Pruner):
            layout = self._pruner.layout(counts)
            for remap in self._pruner.graph.remaps:
                remap.slim(network, layout)
        return network

    def _swap(self, layer: Layer, module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            # The dictionaries directly: torch's own attribute checks would cost more than the
            # selection itself.
            slots = module._parameters if name in module._parameters else module._buffers
            slots[name] = tensor.to(**self._like)  # type: ignore[assignment]
        if layer.kind == "depthwise":
            module.groups = len(tensors["weight"])  # type: ignore[assignment]


class RecoveredNetwork:
    """Builds the small network of a plan and recovers it, step by step.

    Args:
        build: channel counts -> the recovered network, a new module in eval mode.
        graph: the channel graph of the original one.
        device: where to run.
        dtype: of weights.
    """

    overlap = 1  # recovery steps use every core

    def __init__(
        self,
        build: Callable[[Sequence[int]], nn.Module],
        graph: ChannelGraph,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._build, self._graph = build, graph
        self._like = {"device": device, "dtype": dtype}

    def __call__(self, counts: Sequence[int]) -> nn.Module:
        """A new network for a plan, its norms folded."""
        folded, _ = fold_norms(self._build(counts), self._graph)
        return with_pointwise(folded.to(**self._like, memory_format=torch.channels_last))
