"""Multiply-accumulate operations (MACs) of a pass over one image, the paper's FLOPs."""

from __future__ import annotations

from torch import nn

from amc_gym._utils.nests import Nest
from amc_gym.compression.cost.closed_form import ClosedForm, Term
from amc_gym.compression.cost.counting import counted_macs
from amc_gym.compression.cost.resource import Resource, add
from amc_gym.compression.cost.sparse import SparseCost
from amc_gym.compression.graph import ChannelGraph


class Macs(Resource):
    """Multiply-accumulate operations.

    Norms, activations and biases cost none, as in the paper's tables.
    """

    name, title = "macs", "MACs"

    def of_channels(self, graph: ChannelGraph) -> ClosedForm:
        """Return the cost model: positions times weights of each layer."""
        layers = (
            Term(layer.outputs, layer.inputs, layer.weights * layer.sites, groups=layer.groups)
            for layer in graph.layers.values()
        )
        others = (Term(each.outputs, each.inputs, each.macs) for each in graph.products)
        return ClosedForm(graph, layers, others, graph.constants.macs)

    def of_weights(self, model: nn.Module, graph: ChannelGraph) -> SparseCost:
        """Return the cost model: each non-zero weight, once per output position."""
        each = {unit.name: graph.layers[unit.name].sites for unit in graph.units}
        return SparseCost(graph, each, {}, graph.constants.macs)

    def count(self, network: nn.Module, example: Nest) -> int:
        """Return half of what torch's FLOP counter reports for one image."""
        return counted_macs(network, example)


add(Macs())
