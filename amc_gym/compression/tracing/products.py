"""Products of feature maps, as in attention: their costs and scales.

They involve no weight.  The channels that they sum over and produce belong to units like any
others; only their cost and their scale belong to no layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from torch import nn

from amc_gym.compression.graph import FIXED, Axis, GraphError, Product
from amc_gym.compression.narrow_attention import can_narrow
from amc_gym.compression.tracing.record import Trace
from amc_gym.compression.tracing.units import Units

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


def heads(model: nn.Module, trace: Trace) -> dict[str, np.ndarray]:
    """Return the labels of all heads' channels of each ``nn.MultiheadAttention``, by its name.

    Modules that ``narrow`` does not support are left out; their heads and the stream that they take
    their width from become fixed.
    """
    found = {}
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        labels = trace.parameters.get(f"{prefix}out_proj.weight")
        if not isinstance(module, nn.MultiheadAttention) or labels is None or labels[1] is None:
            continue
        if can_narrow(module):
            found[name] = labels[1]
            continue
        queries = "q_proj_weight" if module.in_proj_weight is None else "in_proj_weight"
        for channels in (labels[1], trace.parameters[f"{prefix}{queries}"][1]):
            trace.labels.fix(channels, f"{name!r} derives the width of its heads from its stream")
    return found


def unite_attention(trace: Trace, units: Units) -> bool:
    """Unite queries and keys that no layer reads with the values of their attention.

    One decision then is about the width of all heads, as where one layer makes all three.

    Args:
        trace: the trace, whose labels are united.
        units: the units found in it.

    Returns:
        Whether any were united, after which all units have to be found again.
    """
    read = {u for use in trace.uses for u in units.axis(use.inputs).units}
    united = False
    for asked, values in _attended(trace):
        one, other = ({*units.axis(each).unit.tolist()} for each in (asked, values))
        if FIXED not in one and one.isdisjoint(read) and other <= read:
            trace.labels.unite(asked, values)
            united = True
    return united


def _attended(trace: Trace) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the channels of queries and keys, and those of the values, of each attention.

    A fused kernel is one product, which sums over the channels of queries and keys and has those of
    the values.  In steps it is two: the second one's weights, summed over positions, come from the
    first, possibly by way of a softmax.  The values come last, or before the positions, V A^T.
    """
    products = {trace.operations[each.operation].writes: each for each in trace.products}
    for last in trace.products:
        operation = trace.operations[last.operation]
        values = next((each for each in last.made[:-3:-1] if each is not None), None)
        if values is None:
            continue
        if operation.name.startswith("_scaled_dot_product"):
            asked = [operation.writes]
        elif trace.labels.all_fixed(last.mixed):
            asked = trace.behind(operation, products.keys())
        else:
            continue
        for number in asked:
            if (mixed := products[number].mixed) is not None and len(mixed) == len(values):
                yield mixed, values


class Products:
    """Products of feature maps in a traced network.

    Args:
        model: the network.
        trace: its trace.
        units: the units found in it.
    """

    def __init__(self, model: nn.Module, trace: Trace, units: Units) -> None:
        self._model, self._trace, self._units = model, trace, units
        self.rescaled = {u for labels in trace.rescaled for u in units.axis(labels).units}
        """Units for which an operation divides by the root of the number of summed channels."""
        self._norms = {each.module for each in trace.statistics if each.dimension}

    def keep_whole(self) -> bool:
        """Fix units that products or scales do not allow to prune, and return whether any was."""
        labels, found = self._trace.labels, False
        for each in self._trace.products:
            if len(held := [d for d in each.dimensions if self._units.axis(d).units]) > 2:
                operation = self._trace.operations[each.operation]
                labels.fix(held[-1], f"is one of three dimensions of channels in {operation}")
                found = True
        for unit in {unit for name in self._trace.parameters for unit in self._unscalable(name)}:
            reason = "an operation's scale depends on the number of its channels"
            labels.fix(self._units.channels[unit], reason)
            found = True
        return found

    def _unscalable(self, name: str) -> set[int]:
        """Return the units of a parameter that would need rescaling where that is impossible."""
        lost: set[int] = set()
        for dimension in self._trace.parameters[name] if self.rescaled else ():
            axis = self._units.axis(dimension)
            module = name.rpartition(".")[0]
            norm = isinstance(self._model.get_submodule(module), NORMS) or module in self._norms
            if norm or len({*axis.unit.tolist()}) > 1:
                lost |= self.rescaled & {*axis.units}
        return lost

    def power(self, name: str, axes: Sequence[Axis]) -> tuple[int, int, float] | None:
        """Return the rescaling of a parameter: a root of the share of channels that a unit keeps.

        Queries and keys are each multiplied by a fourth root, so that their product compensates for
        the square root that the operation divides by.  Values of the same unit are, too, and the
        layer that reads them undoes it.

        Args:
            name: of the parameter.
            axes: its dimensions, in the numbers of ``units``.
        """
        module, _, attribute = name.rpartition(".")
        layer = self._model.get_submodule(module)
        turned = isinstance(layer, nn.modules.conv._ConvNd) and layer.transposed
        for dimension, axis in enumerate(axes):
            for unit in self.rescaled & {*axis.units}:
                reads = attribute == "weight" and dimension == (0 if turned else 1)
                return unit, len(self._units.channels[unit]), -0.25 if reads else 0.25
        return None

    def costs(self, numbers: np.ndarray) -> Iterator[Product]:
        """Yield the MACs of products outside of layers, as far as they depend on a unit's channels.

        Args:
            numbers: unit numbers in the graph by those in ``units``; FIXED for dropped ones.
        """
        for use in self._trace.free:
            held = [use.outputs]
            if use.inputs is not None and self._axis(use.inputs, numbers).units:
                held.append(use.inputs)
            yield self._product(use.layer, use.operation, held, numbers)
        for each in self._trace.products:
            operation = self._trace.operations[each.operation]
            held = [d for d in each.dimensions if self._axis(d, numbers).units]
            if held and operation.macs:
                yield self._product(operation.module, each.operation, held, numbers)

    def _product(
        self, name: str, operation: int, held: Sequence[np.ndarray], numbers: np.ndarray
    ) -> Product:
        axes = [self._axis(each, numbers) for each in held]
        macs = self._trace.operations[operation].macs
        each, rest = divmod(macs, prod(len(axis) for axis in axes))
        if rest:
            raise GraphError(f"the cost of {name!r} is not a multiple of its channels")
        return Product(name, axes[0], axes[1] if len(axes) > 1 else None, each)

    def counted(self, numbers: np.ndarray) -> set[int]:
        """Return the operations whose cost ``costs`` includes."""
        return {use.operation for use in self._trace.free} | {
            each.operation
            for each in self._trace.products
            if any(self._axis(d, numbers).units for d in each.dimensions)
        }

    def multiplied(self, numbers: np.ndarray) -> tuple[int, ...]:
        """Return the units (graph numbers) that are summed over without a layer's weight."""
        mixed = [each.mixed for each in self._trace.products if each.mixed is not None]
        mixed += self._trace.summed
        return tuple(sorted({u for labels in mixed for u in self._axis(labels, numbers).units}))

    def _axis(self, labels: np.ndarray, numbers: np.ndarray) -> Axis:
        axis = self._units.axis(labels)
        assert numbers[FIXED] == FIXED
        return Axis(numbers[axis.unit], axis.channel)
