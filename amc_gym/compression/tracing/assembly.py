"""From a traced pass to a channel graph: layers, units, parameters and costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from math import prod

import numpy as np
from torch import Tensor, nn

from amc_gym.compression.channel_map import ChannelMap
from amc_gym.compression.graph import (
    FIXED,
    Axis,
    ChannelGraph,
    Constants,
    GraphError,
    Layer,
    Norm,
    Parameter,
    Remap,
    Unit,
    WidthAttribute,
    is_plain,
)
from amc_gym.compression.tracing.products import Products, heads, unite_attention
from amc_gym.compression.tracing.record import Passage, Trace, Use
from amc_gym.compression.tracing.units import Units

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def assemble(model: nn.Module, trace: Trace) -> ChannelGraph:
    """Return the channel graph of a traced network.

    Raises:
        GraphError: nothing in it can be pruned.
    """
    return _Assembly(model, trace).graph()


class _Assembly:
    """The channel graph under construction, in execution order."""

    def __init__(self, model: nn.Module, trace: Trace) -> None:
        self.model, self.trace = model, trace
        self.uses: dict[str, list[Use]] = {}
        for use in trace.uses:
            self.uses.setdefault(use.layer, []).append(use)
        self.maps = [p for p in trace.passages if isinstance(self._module(p.module), ChannelMap)]
        self.norms: dict[str, list[Passage]] = {}
        for passage in trace.passages:
            if isinstance(self._module(passage.module), NORMS):
                self.norms.setdefault(passage.module, []).append(passage)
        firsts = {name: runs[0].operation for name, runs in self.uses.items()}
        firsts |= {name: runs[0].operation for name, runs in self.norms.items()}
        self.order = {name: place for place, name in enumerate(sorted(firsts, key=firsts.get))}  # pyright: ignore
        everything = sorted((*trace.uses, *trace.free), key=lambda use: use.operation)
        self.heads = heads(model, trace)
        while True:
            self.units = Units(trace.labels, [use.outputs for use in everything], self._axes())
            if unite_attention(trace, self.units):
                continue
            self.products = Products(model, trace, self.units)
            if not self.products.keep_whole():
                break

    def _module(self, name: str) -> nn.Module:
        return self.model.get_submodule(name)

    def _axes(self) -> dict[str, np.ndarray]:
        """Return every dimension of channels, by a name for messages."""
        axes: dict[str, np.ndarray] = {}
        for name, dimensions in self.trace.parameters.items():
            axes |= {f"{name}[{i}]": d for i, d in enumerate(dimensions) if d is not None}
        axes |= {f"{u.layer}": u.inputs for u in self.trace.uses if u.inputs is not None}
        axes |= {f"{p.module}": p.inputs for p in self.trace.passages}
        return axes

    def graph(self) -> ChannelGraph:
        """Return the channel graph."""
        layers = {
            name: self._layer(name) if name in self.uses else self._norm(name)
            for name in self.order
        }
        units, renumbered = self._named_units(layers)
        fixed = self._fixed()
        if not units:
            reasons = "; ".join(f"{name}: {why}" for name, why in fixed.items()) or "no convolution"
            raise GraphError(
                f"{type(self.model).__name__} has no channels that can be pruned ({reasons})."
            )

        def of(axis: Axis) -> Axis:
            return Axis(renumbered[axis.unit], axis.channel)

        layers = {
            name: replace(
                layer,
                outputs=of(layer.outputs),
                inputs=None if layer.inputs is None else of(layer.inputs),
            )
            for name, layer in layers.items()
        }
        remaps = []
        for passage in self.maps:
            module = self._module(passage.module)
            assert isinstance(module, ChannelMap)
            axes = (of(self.units.axis(each)) for each in (passage.inputs, passage.outputs))
            remaps.append(Remap(passage.module, module.source.cpu().numpy(), *axes))
        parameters = [_renumbered(p, renumbered) for p in self._parameters(layers)]
        parameters = [p for p in parameters if p.units]
        widths = [
            WidthAttribute(name, of(axis), attribute)
            for (name, attribute), axis in self._widths().items()
        ]
        # Attention whose heads stay whole has to know their width once its stream is narrower.
        sliced = {owner for p in parameters for owner, _ in p.owners} & self.heads.keys()
        return ChannelGraph(
            layers,
            tuple(units),
            fixed,
            tuple(remaps),
            tuple(parameters),
            tuple(each for each in widths if each.axis.units or each.module in sliced),
            self._constants(layers, parameters, self.products.counted(renumbered)),
            tuple(self.products.costs(renumbered)),
            self.products.multiplied(renumbered),
            tuple(
                Norm(each.module, axis, each.dimension)
                for each in self.trace.statistics
                if (axis := of(self.units.axis(each.channels))).units
            ),
        )

    # --- layers -------------------------------------------------------------------------------

    def _layer(self, name: str) -> Layer:
        module, runs = self._module(name), self.uses[name]
        use = runs[0]
        spatial = module.kernel_size if isinstance(module, nn.modules.conv._ConvNd) else ()
        kernel = prod(spatial)
        inputs = None if use.inputs is None else self.units.axis(use.inputs)
        outputs = self.units.axis(use.outputs)
        each = len(outputs) * (1 if inputs is None else len(inputs)) * kernel // use.groups
        macs = sum(self.trace.operations[run.operation].macs for run in runs)
        sites, rest = divmod(macs, each)
        if rest:
            raise GraphError(f"the cost of layer {name!r} is not a multiple of its weights")
        shape = use.before[2:] if spatial else ()
        height, width = (*shape, 1, 1)[:2] if len(shape) != 1 else (1, shape[0])
        norm = self._norm_behind(name)
        return Layer(
            name=name,
            kind="linear" if not spatial else "conv" if use.inputs is not None else "depthwise",
            outputs=outputs,
            inputs=inputs,
            weights=kernel,
            biases=int(getattr(module, "bias", None) is not None),
            kernel=spatial[0] if spatial else 1,
            stride=module.stride[0] if spatial else 1,  # pyright: ignore
            height=height,
            width=width,
            sites=sites,
            groups=use.groups,
            folds=use.before[0] if spatial else 1,
            multiplier=max(use.multiplier, 1),
            norm=norm,
            ceiling=self._ceiling_behind(name, norm),
            refits=self._plain(name)
            and type(module) in (nn.Conv2d, nn.Linear)
            and self.products.rescaled.isdisjoint(outputs.units),
            plain=self._plain(name),
            counted=self._counted(name),
        )

    def _counted(self, name: str) -> bool:
        """Return whether the layer's weight is a parameter that no other module shares."""
        return "weight" in self._module(name)._parameters and not self._shared(name)

    def _plain(self, name: str) -> bool:
        """Return whether a layer is plain: torch's own class, run once, with unshared weights."""
        module, runs = self._module(name), self.uses.get(name) or self.norms[name]
        once = len(runs) == 1 and not (isinstance(runs[0], Use) and not runs[0].inside)
        return once and is_plain(module) and not self._shared(name)

    def _shared(self, name: str) -> bool:
        """Return whether other modules share a tensor of this one."""
        mine = {id(t) for t in self._module(name).parameters(recurse=False)}
        return any(self._holders[each] > 1 for each in mine)

    @cached_property
    def _holders(self) -> Counter[int]:
        """Number of modules that hold each parameter, by its id."""
        return Counter(
            id(tensor)
            for module in self.model.modules()
            for tensor in module.parameters(recurse=False)
        )

    def _norm(self, name: str) -> Layer:
        passage, module = self.norms[name][0], self._module(name)
        affine = int(getattr(module, "weight", None) is not None)
        return Layer(
            name=name,
            kind="norm",
            outputs=self.units.axis(passage.inputs),
            inputs=None,
            weights=affine,
            biases=int(getattr(module, "bias", None) is not None),
            kernel=1,
            stride=1,
            height=1,
            width=1,
            sites=0,
            plain=self._plain(name),
            counted=self._counted(name),
        )

    def _readers(self, operation: int) -> list[int]:
        """Return the operations that read the output of an operation."""
        number = self.trace.operations[operation].writes
        return [i for i, each in enumerate(self.trace.operations) if number in each.reads]

    def _norm_behind(self, name: str) -> str | None:
        """Return the batch norm that is the layer's only reader and can be folded into it."""
        if not self._plain(name) or getattr(self._module(name), "transposed", False):
            return None
        readers = self._readers(self.uses[name][0].operation)
        if len(readers) != 1:
            return None
        norm = self.trace.operations[readers[0]].module
        foldable = norm in self.norms and self._plain(norm) and _has_statistics(self._module(norm))
        return norm if foldable else None

    def _ceiling_behind(self, name: str, norm: str | None) -> float | None:
        """Return the ceiling of the ReLU that is the only reader of the layer, or of its norm."""
        if not self._plain(name):
            return None
        operation = self.uses[name][0].operation
        if norm is not None:
            operation = self._readers(operation)[0]
        readers = self._readers(operation)
        return self.trace.operations[readers[0]].ceiling if len(readers) == 1 else None

    # --- units --------------------------------------------------------------------------------

    def _named_units(self, layers: dict[str, Layer]) -> tuple[list[Unit], np.ndarray]:
        """Return the units in the order of their first consumers, and the new unit numbers."""
        found = []
        for number, (channels, blocks) in enumerate(
            zip(self.units.channels, self.units.blocks, strict=True)
        ):
            consumers = [
                name
                for name, layer in layers.items()
                if layer.inputs is not None and number in layer.inputs.units
            ]
            members = [
                name
                for name, layer in layers.items()
                if number in layer.outputs.units or name in consumers
            ]
            if consumers:
                found.append((consumers, members, number, len(channels), blocks))
            else:
                self.trace.labels.fix(channels, self._unread(number))
        # Of several units that one layer reads first, the one that is produced first comes first.
        found.sort(key=lambda entry: (self.order[entry[0][0]], self.order[entry[1][0]]))
        firsts = Counter(entry[0][0] for entry in found)
        renumbered = np.full(len(self.units.channels) + 1, -1)  # the last entry is for FIXED
        units = []
        for consumers, members, number, channels, blocks in found:
            name = consumers[0] if firsts[consumers[0]] == 1 else f"{consumers[0]}:{members[0]}"
            renumbered[number] = len(units)
            units.append(Unit(name, channels, tuple(consumers), tuple(members), blocks))
        return units, renumbered

    def _unread(self, unit: int) -> str:
        """Return why a unit that no layer reads stays whole: nothing can rank its channels."""
        for use in self.trace.free:
            if use.inputs is not None and unit in self.units.axis(use.inputs).units:
                operation = self.trace.operations[use.operation]
                return (
                    f"mixed by {use.layer!r}, which no convolution or linear layer holds, "
                    f"in {operation}"
                )
        for product in self.trace.products:
            if unit in self.units.axis(product.mixed).units:
                operation = self.trace.operations[product.operation]
                return f"only {operation} reads its channels, and no layer"
        return "no layer reads its channels"

    def _fixed(self) -> dict[str, str]:
        """Return the reasons by layer whose output stays whole, and by weight outside of layers."""
        fixed = {}
        for use in (*self.trace.uses, *self.trace.free):
            if (why := self.trace.labels.why(use.outputs)) is not None and use.inputs is not None:
                fixed.setdefault(use.layer, why)
        return fixed

    # --- parameters and costs -----------------------------------------------------------------

    def _parameters(self, layers: dict[str, Layer]) -> list[Parameter]:
        learnable = {id(p) for p in self.model.parameters()}
        owners: dict[int, list[tuple[str, str]]] = {}
        for prefix, module in self.model.named_modules():
            held = (*module.named_buffers(recurse=False), *module.named_parameters(recurse=False))
            for name, tensor in held:
                owners.setdefault(id(tensor), []).append((prefix, name))
        made = []
        for name, dimensions in self.trace.parameters.items():
            module, _, attribute = name.rpartition(".")
            tensor = getattr(self._module(module), attribute)
            axes = [
                self.units.axis(dimension, size)
                for dimension, size in zip(dimensions, tensor.shape, strict=True)
            ]
            layer = layers.get(module)
            reads = None
            if layer is not None and layer.groups > 1 and attribute == "weight":
                reads = layer.inputs
            made.append(
                Parameter(
                    tuple(owners[id(tensor)]),
                    tuple(axes),
                    learnable=id(tensor) in learnable,
                    counted=layer is not None and layer.counted,
                    groups=layer.groups if reads is not None and layer is not None else 1,
                    reads=reads,
                    power=self.products.power(name, axes) if id(tensor) in learnable else None,
                )
            )
        return made

    def _widths(self) -> dict[tuple[str, str], Axis]:
        """Return (module, attribute) -> the channels that it counts."""
        widths = {(passage.module, ""): passage.inputs for passage in self.trace.passages}
        widths |= {(name, ""): channels for name, channels in self.heads.items()}
        widths |= {(name, ""): channels for name, channels in self._channel_norms().items()}
        return {
            name: self.units.axis(each) for name, each in (widths | self.trace.width_labels).items()
        }

    def _channel_norms(self) -> dict[str, np.ndarray]:
        """Return the channels of each of torch's norms that take their statistics over channels.

        Code may use a norm's weight without running the norm, and run one that has no weight.
        """
        norms = {
            name
            for name, module in self.model.named_modules()
            if isinstance(module, nn.LayerNorm | nn.RMSNorm)
        }
        weights = {name: self.trace.parameters.get(f"{name}.weight", ()) for name in norms}
        run = {s.module: s.channels for s in self.trace.statistics if s.module in norms}
        return run | {
            name: dimensions[0]
            for name, dimensions in weights.items()
            if len(dimensions) == 1 and dimensions[0] is not None
        }

    def _constants(
        self, layers: dict[str, Layer], parameters: Sequence[Parameter], products: set[int]
    ) -> Constants:
        """Return the cost of the network outside its layers and products."""
        used = products | {use.operation for use in self.trace.uses}
        macs = sum(o.macs for i, o in enumerate(self.trace.operations) if i not in used)
        variable = {id(self._tensor(owner)) for p in parameters for owner in p.owners}
        for name, layer in layers.items():
            if layer.counted:
                variable |= {id(p) for p in self._module(name).parameters(recurse=False)}
        params = sum(p.numel() for p in self.model.parameters() if id(p) not in variable)
        return Constants(macs, params)

    def _tensor(self, owner: tuple[str, str]) -> Tensor:
        module, name = owner
        return getattr(self._module(module), name)


def _renumbered(parameter: Parameter, numbers: np.ndarray) -> Parameter:
    """Return a parameter with its unit numbers replaced by those of the graph."""
    axes = tuple(Axis(numbers[axis.unit], axis.channel) for axis in parameter.axes)
    power = parameter.power
    if power is not None:
        power = (int(numbers[power[0]]), *power[1:])
        power = None if power[0] == FIXED else power
    return replace(parameter, axes=axes, power=power)


def axes_of(graph: ChannelGraph, trace: Trace) -> Callable[[np.ndarray], Axis]:
    """Return a function from labels of a trace to their units and channels in its graph."""
    unit = np.full(trace.labels.count, FIXED)
    channel = np.zeros(trace.labels.count, dtype=np.int64)
    for use in trace.uses:
        layer = graph.layers[use.layer]
        for axis, labels in ((layer.outputs, use.outputs), (layer.inputs, use.inputs)):
            if axis is not None and labels is not None:
                roots = trace.labels.roots(labels)
                unit[roots], channel[roots] = axis.unit, axis.channel

    def axis_of(labels: np.ndarray) -> Axis:
        roots = trace.labels.roots(labels)
        return Axis(unit[roots], channel[roots])

    return axis_of


def _has_statistics(norm: nn.Module) -> bool:
    return getattr(norm, "running_mean", None) is not None
