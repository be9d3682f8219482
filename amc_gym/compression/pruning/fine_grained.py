"""Fine-grained pruning: the weights of least magnitude become zero (paper, section 3.1).

Every convolution and linear layer, including first and last, is a unit of decision, and its size is
the number of weights that are not zero yet: in iterative pruning each stage decides on what the
previous one has left.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import nn

from amc_gym._utils.grad_mode import recorded
from amc_gym.compression.graph import ChannelGraph, GraphError, Unit
from amc_gym.compression.slim import WEIGHTED


def weight_graph(model: nn.Module, graph: ChannelGraph) -> ChannelGraph:
    """Return the graph of layers whose single weights are pruned.

    One unit per layer that multiplies, in execution order; its ``channels`` count the weights that
    are not zero.

    Raises:
        GraphError: a layer's weight is computed from other parameters or shared with other layers.
    """
    for name, layer in graph.layers.items():
        if layer.kind != "norm" and not layer.counted:
            raise GraphError(
                f"weights of layer {name!r} cannot be pruned, because they are computed from other "
                "parameters or shared with another layer: use granularity='channel'"
            )
    units = tuple(
        Unit(
            name,
            int(torch.count_nonzero(_weight(model, name))),
            consumers=(name,),
            members=(name,),
            inputs=len(layer.inputs or layer.outputs),
        )
        for name, layer in graph.layers.items()
        if layer.kind != "norm"
    )
    return replace(graph, units=units, remaps=(), parameters=(), width_attributes=(), norms=())


@dataclass(frozen=True, eq=False)
class SparsePruner:
    """The tensors of the network in which each layer keeps its largest weights.

    Args:
        model: the network that is evaluated; its norms may have been folded, which scales weights
            but does not move any.
        graph: its channel graph.
        order: by layer, flat indices of the weights that are not zero, largest magnitude first.
    """

    model: nn.Module
    graph: ChannelGraph
    order: dict[str, torch.Tensor]

    def tensors(self, counts: Sequence[int], name: str) -> dict[str, torch.Tensor]:
        """Return the masked weight of one layer."""
        if name not in self.order:
            return {}
        count = counts[self._unit[name]]
        return {"weight": keep(_weight(self.model, name), self.order[name][:count])}

    @cached_property
    def _unit(self) -> dict[str, int]:
        return {name: unit for unit, name in enumerate(self.order)}


def magnitude_order(weight: torch.Tensor) -> torch.Tensor:
    """Return flat indices of the non-zero weights, largest magnitude first."""
    flat = weight.detach().abs().flatten().cpu()
    order = torch.argsort(flat, descending=True, stable=True)
    return order[: int(torch.count_nonzero(flat))]


def keep(weight: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Return the weight with zeros everywhere except at the flat indices ``chosen``."""
    # Flattened by index, for any memory layout (for example channels last).
    kept = torch.zeros(weight.numel(), dtype=weight.dtype, device=weight.device)
    chosen = chosen.to(weight.device)
    kept[chosen] = weight.reshape(-1)[chosen]
    return kept.reshape(weight.shape)


def sparse_pruner(model: nn.Module, folded: nn.Module, graph: ChannelGraph) -> SparsePruner:
    """Return the pruner of ``folded``, ranked by the magnitudes of the original ``model``.

    Args:
        model: the original network.
        folded: the network that is evaluated, with norms folded.
        graph: the channel graph of ``folded``.
    """
    order = {
        name: magnitude_order(_weight(model, name))
        for name, layer in graph.layers.items()
        if layer.kind != "norm"
    }
    return SparsePruner(folded, graph, order)


@recorded
def sparse(model: nn.Module, counts: Mapping[str, int]) -> nn.Module:
    """Return a copy of ``model`` in which each layer keeps its ``counts[name]`` largest weights."""
    small = copy.deepcopy(model)
    for name, count in counts.items():
        weight = _weight(small, name)
        weight.copy_(keep(weight, magnitude_order(weight)[:count]))
    return small


def nonzero_params(model: nn.Module) -> int:
    """Return the number of parameters of a network, of weights only the non-zero ones."""
    total = sum(parameter.numel() for parameter in model.parameters())
    layers = [m for m in model.modules() if isinstance(m, WEIGHTED)]
    return total - sum(int((layer.weight == 0).sum()) for layer in layers)


def zeros(model: nn.Module, layers: Iterable[str]) -> dict[tuple[str, str], torch.Tensor]:
    """Return masks of the zero weights of some layers, by module and attribute."""
    return {(name, "weight"): _weight(model, name) == 0 for name in layers}


def densities(model: nn.Module, graph: ChannelGraph) -> dict[str, float]:
    """Return the share of each layer's weights that are not zero, in execution order."""
    return {
        name: float(torch.count_nonzero(_weight(model, name))) / _weight(model, name).numel()
        for name, layer in graph.layers.items()
        if layer.kind != "norm"
    }


def _weight(model: nn.Module, name: str = "") -> torch.Tensor:
    weight = model.get_submodule(name).weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach()
