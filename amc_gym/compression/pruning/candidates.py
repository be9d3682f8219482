"""The small networks that are evaluated, made from channel counts in one of two ways.

If the recovery only selects and re-fits weights, one network is kept and a plan's tensors are
swapped into it.  Steps that have to run the network (re-estimated statistics, sequential
reconstruction, fine-tuning) need a network that is built for each plan.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import nn

from amc_gym.compression.evaluation.form import Form
from amc_gym.compression.evaluation.parallel import torch_threads
from amc_gym.compression.graph import ChannelGraph, Layer
from amc_gym.compression.pruning.pruner import Pruner
from amc_gym.compression.slim import describe, set_width


class TensorSource(Protocol):
    """Makes each layer's tensors for a plan, as a pruner does."""

    @property
    def graph(self) -> ChannelGraph:
        """Channel graph of the network that the tensors belong to."""
        ...

    def tensors(self, counts: Sequence[int], name: str, /) -> dict[str, torch.Tensor]:
        """Return the tensors of one layer that differ from the original's."""
        ...


class SwappedNetwork:
    """A network into whose modules a plan's tensors are swapped; no module is ever built.

    Beyond the forward pass a plan costs one small matrix product for each re-fitted layer.  A few
    such networks take turns, so that a plan can be prepared while others run.

    Args:
        model: the network of ``source``, in eval mode; its norms may have been folded.
        source: makes each layer's tensors.
        form: its memory layout and layers.
        device: device to run on.
        dtype: of the weights.

    Attributes:
        source: see above.
        overlap: see ``NetworkSource``.
    """

    overlap = 4

    def __init__(
        self,
        model: nn.Module,
        source: TensorSource,
        *,
        device: torch.device,
        dtype: torch.dtype,
        form: Form = Form(),  # noqa: B008  # frozen
    ) -> None:
        self.source = source
        self._like = {"device": device, "dtype": dtype}
        first = form.lay_out(copy.deepcopy(model), device, dtype)
        # Copies of the modules that share their tensors.
        tensors = {id(t): t for t in (*first.parameters(), *first.buffers())}
        others = [copy.deepcopy(first, dict(tensors)) for _ in range(self.overlap - 1)]
        self._networks = deque(
            (network, [(layer, network.get_submodule(layer.name)) for layer in self._layers])
            for network in (first, *others)
        )

    @property
    def _layers(self) -> Iterable[Layer]:
        return self.source.graph.layers.values()

    def __call__(self, counts: Sequence[int]) -> nn.Module:
        """Return a network set to a plan; valid until the next ``overlap`` calls."""
        self._networks.rotate()
        network, modules = self._networks[0]
        with torch_threads(1):  # other evaluations may use the other cores
            for layer, module in modules:
                self._swap(layer, module, self.source.tensors(counts, layer.name))
        if isinstance(self.source, Pruner):
            self._adapt(network, self.source, counts)
        return network

    def _adapt(self, network: nn.Module, pruner: Pruner, counts: Sequence[int]) -> None:
        """Set everything outside of layers: other parameters, channel maps, sizes of norms."""
        for parameter in pruner.parameters:
            tensor = parameter(counts).to(self._like["device"])
            if tensor.is_floating_point():
                tensor = tensor.to(self._like["dtype"])
            for module, name in parameter.owners:
                _put(network.get_submodule(module), name, tensor)
        for layer in pruner.unknown:
            _describe(layer, network.get_submodule(layer.name))
        for name, channels, attribute in pruner.module_widths(counts):
            set_width(network.get_submodule(name), channels, attribute)
        if pruner.graph.remaps:
            layout = pruner.layout(counts)
            for remap in pruner.graph.remaps:
                remap.slim(network, layout)

    def _swap(self, layer: Layer, module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            _put(module, name, tensor.to(**self._like))
        if tensors:
            _describe(layer, module)


def _describe(layer: Layer, module: nn.Module) -> None:
    # A depthwise convolution of one channel looks like any other, but its layer says so.
    describe(module, layer.multiplier if layer.kind == "depthwise" else 0)


def _put(module: nn.Module, name: str, tensor: torch.Tensor) -> None:
    # Written into the dictionaries, because torch's attribute checks would cost more than the
    # selection itself.
    slots = module._parameters if name in module._parameters else module._buffers
    slots[name] = tensor  # type: ignore[assignment]


class RecoveredNetwork:
    """A source that builds and recovers the small network of each plan.

    Args:
        build: function from counts to the recovered network, a new module in eval mode.
        graph: the channel graph of the original network.
        device: device to run on.
        dtype: of the weights.
    """

    overlap = 1  # recovery steps use every core

    def __init__(
        self,
        build: Callable[[Sequence[int]], nn.Module],
        graph: ChannelGraph,
        *,
        device: torch.device,
        dtype: torch.dtype,
        form: Form = Form(),  # noqa: B008  # frozen
    ) -> None:
        self._build, self._graph, self._form = build, graph, form
        self._device, self._dtype = device, dtype

    def __call__(self, counts: Sequence[int]) -> nn.Module:
        """Return a new network for a plan, in the form of the evaluation."""
        network, _ = self._form.fold(self._build(counts), self._graph)
        return self._form.lay_out(network, self._device, self._dtype)
