"""Learnable parameters of a network, including norms and biases."""

from __future__ import annotations

from math import prod

from torch import nn

from amc_gym._utils.nests import Nest
from amc_gym.compression.cost.closed_form import ClosedForm, Term
from amc_gym.compression.cost.counting import counted_params
from amc_gym.compression.cost.resource import Resource, add
from amc_gym.compression.cost.sparse import SparseCost
from amc_gym.compression.graph import ChannelGraph, GraphError, Layer, Parameter


class Params(Resource):
    """Learnable parameters."""

    name, title = "params", "parameters"

    def of_channels(self, graph: ChannelGraph) -> ClosedForm:
        """Return the cost model: weights and biases of each layer, and other parameters."""
        own = (p for p in graph.parameters if p.learnable and not p.counted)
        return ClosedForm(
            graph,
            map(_of_layer, graph.layers.values()),
            map(_of_parameter, own),
            graph.constants.params,
        )

    def of_weights(self, model: nn.Module, graph: ChannelGraph) -> SparseCost:
        """Return the cost model: non-zero weights, and all biases and norms."""
        decided = {unit.name for unit in graph.units}
        fixed = {
            layer: sum(
                parameter.numel()
                for name, parameter in model.get_submodule(layer).named_parameters()
                if not (layer in decided and name == "weight")
            )
            for layer in graph.layers
        }
        inside = {id(p) for name in graph.layers for p in model.get_submodule(name).parameters()}
        others = sum(p.numel() for p in model.parameters() if id(p) not in inside)
        return SparseCost(graph, dict.fromkeys(decided, 1), fixed, others)

    def count(self, network: nn.Module, example: Nest) -> int:
        """Return the number of learnable values, each counted once."""
        return counted_params(network)


def _of_layer(layer: Layer) -> Term:
    pair, single = (layer.weights, layer.biases) if layer.counted else (0, 0)
    return Term(layer.outputs, layer.inputs, pair, single, layer.groups)


def _of_parameter(parameter: Parameter) -> Term:
    """Return the size of a parameter that is no layer's weight.

    Raises:
        GraphError: it holds channels in more than two dimensions.
    """
    held = [axis for axis in parameter.axes if axis.units]
    if len(held) > 2:
        raise GraphError(
            f"{'.'.join(parameter.owners[0])!r} holds channels in {len(held)} dimensions"
        )
    rest = prod(len(axis) for axis in parameter.axes if not axis.units)
    return Term(held[0], held[1] if len(held) > 1 else None, rest)


add(Params())
