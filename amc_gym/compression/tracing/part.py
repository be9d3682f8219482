"""Compression of a part: a module of the network, such as a detector's backbone.

The rest of the network is run but never traced, so it may do anything, with any number of
operations.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from amc_gym._utils.nests import Nest, called
from amc_gym.compression.graph import ChannelGraph, GraphError


def at_part(network: nn.Module, part: str, inputs: Nest) -> tuple[Nest, Any]:
    """Return the inputs and outputs of a module in a network.

    Args:
        network: in eval mode.
        part: name of the module; "": the network itself.
        inputs: of the network.

    Raises:
        GraphError: it does not run exactly once.
    """
    if not part:
        return inputs, called(network, inputs)
    passed: list[tuple[Nest, Any]] = []

    def passing(
        _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
    ) -> None:
        if args and kwargs:
            raise GraphError(
                f"part {part!r} is called with positional and keyword arguments: call it with only "
                "one kind"
            )
        passed.append((kwargs or args, out))

    hook = network.get_submodule(part).register_forward_hook(passing, with_kwargs=True)
    try:
        called(network, inputs)
    finally:
        hook.remove()
    if len(passed) != 1:
        raise GraphError(
            f"part {part!r} of the network runs {len(passed)} times in a pass: choose one that "
            "runs once"
        )
    return passed[0]


def given_to(network: nn.Module, part: str, inputs: Nest) -> Nest:
    """Return the inputs of a module in a network; see ``at_part``."""
    if not part:
        return inputs
    with torch.no_grad():
        return at_part(network, part, inputs)[0]


def within(graph: ChannelGraph, part: str) -> ChannelGraph:
    """Return the graph of a part with its modules named as in the whole network."""
    if not part:
        return graph

    def whole(name: str) -> str:
        return f"{part}.{name}" if name else part

    layers = {
        whole(name): replace(
            layer, name=whole(name), norm=None if layer.norm is None else whole(layer.norm)
        )
        for name, layer in graph.layers.items()
    }
    units = tuple(
        replace(
            unit,
            name=":".join(map(whole, unit.name.split(":"))),
            consumers=tuple(map(whole, unit.consumers)),
            members=tuple(map(whole, unit.members)),
        )
        for unit in graph.units
    )
    parameters = tuple(
        replace(p, owners=tuple((whole(module), name) for module, name in p.owners))
        for p in graph.parameters
    )
    return replace(
        graph,
        layers=layers,
        units=units,
        fixed={whole(name): why for name, why in graph.fixed.items()},
        remaps=tuple(replace(remap, name=whole(remap.name)) for remap in graph.remaps),
        parameters=parameters,
        width_attributes=tuple(
            replace(each, module=whole(each.module)) for each in graph.width_attributes
        ),
        products=tuple(replace(each, name=whole(each.name)) for each in graph.products),
        norms=tuple(replace(each, module=whole(each.module)) for each in graph.norms),
    )
