"""Tracing: which channels of which layers are coupled, as Torch-Pruning finds them."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from dataclasses import replace
from math import lcm

import numpy as np
import torch
import torch_pruning as tp
from torch import nn
from torch_pruning.ops import OPTYPE

from amc_gym.compression.graph import Axis, ChannelGraph, GraphError, Layer, Remap, Unit
from amc_gym.compression.remap import Boundary, ChannelMap

# What may stand between two layers without holding weights of its own.
_WEIGHTLESS = {OPTYPE.ELEMENTWISE, OPTYPE.RESHAPE, OPTYPE.CONCAT, OPTYPE.SPLIT, OPTYPE.SLICE}


def trace(model: nn.Module, example: torch.Tensor) -> ChannelGraph:
    """Trace ``model`` on ``example`` (1, C, H, W) and return its channel graph.

    Raises:
        GraphError: the model cannot be traced, or holds nothing that can be pruned.
    """
    model = copy.deepcopy(model).eval().requires_grad_(True)  # the tracer follows autograd
    shapes = _record_shapes(model, example)
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")  # Torch-Pruning announces what `fixed` lists below
        try:
            dependencies = tp.DependencyGraph().build_dependency(
                model, example, customized_pruners={ChannelMap: Boundary()}, verbose=False
            )
            groups = list(dependencies.get_all_groups())
        except Exception as error:
            raise GraphError(
                f"{type(model).__name__} cannot be traced by Torch-Pruning: {error}. "
                "Its forward must run on one image tensor and be built from traceable operations."
            ) from error

    names = {module: name for name, module in model.named_modules()}
    outputs: dict[str, Axis] = {}
    inputs: dict[str, Axis] = {}
    units: list[Unit] = []
    fixed: dict[str, str] = {}
    order = {name: position for position, name in enumerate(shapes)}
    found = []
    for group in groups:
        root = names[group[0].dep.target.module]
        reason = _reason_fixed(group, names)
        if reason is not None:
            fixed[root] = reason
            continue
        consumers = {names[item.dep.target.module] for item in group if _is_consumer(item)}
        members = {names[item.dep.target.module] for item in group if _has_weights(item)}
        found.append(
            (
                sorted(consumers, key=order.__getitem__),
                sorted(members, key=order.__getitem__),
                group,
            )
        )
    # Of units that one layer joins, the one that is produced first comes first.
    found.sort(key=lambda entry: (order[entry[0][0]], order[entry[1][0]]))
    firsts = Counter(consumers[0] for consumers, _, _ in found)

    for name in shapes:
        size_in, size_out = _axis_sizes(model.get_submodule(name))
        outputs[name] = Axis.fixed(size_out)
        inputs[name] = Axis.fixed(size_in)
    maps = {name: m for name, m in model.named_modules() if isinstance(m, ChannelMap)}
    for name, module in maps.items():
        inputs[name], outputs[name] = Axis.fixed(module.inputs), Axis.fixed(len(module.source))
    for index, (consumers, members, group) in enumerate(found):
        channels = len(group[0].idxs)
        blocks = lcm(*(_groups(item.dep.target.module) for item in group))
        name = consumers[0] if firsts[consumers[0]] == 1 else f"{consumers[0]}:{members[0]}"
        units.append(Unit(name, channels, tuple(consumers), tuple(members), blocks))
        for item in group:
            if not (_has_weights(item) or isinstance(item.dep.target.module, ChannelMap)):
                continue
            name = names[item.dep.target.module]
            axis = inputs[name] if _reads(item) else outputs[name]
            if max(item.idxs) >= len(axis):
                raise GraphError(
                    f"the tracer couples channel {max(item.idxs)} of {name!r}, which has "
                    f"{len(axis)}: it misreads a padded or sliced shortcut there."
                )
            axis.unit[item.idxs] = index  # before anything asks for axis.units
            axis.channel[item.idxs] = item.root_idxs
    if not units:
        reasons = "; ".join(f"{name}: {why}" for name, why in fixed.items()) or "no convolution"
        raise GraphError(f"{type(model).__name__} has no channels that can be pruned ({reasons}).")

    folds, before_relu = _norms_that_fold(dependencies, names), _before_relu(dependencies, names)
    layers = {
        name: _layer(name, model.get_submodule(name), outputs[name], inputs[name], shape, folds)
        for name, shape in shapes.items()
    }
    layers = {
        name: replace(layer, relu=(layer.norm or name) in before_relu)
        for name, layer in layers.items()
    }
    remaps = tuple(
        Remap(name, module.source.cpu().numpy(), inputs[name], outputs[name])
        for name, module in maps.items()
    )
    return ChannelGraph(layers, tuple(units), fixed, remaps)


def _record_shapes(
    model: nn.Module, example: torch.Tensor
) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Input and output shape of every convolution, linear layer and norm, in execution order."""
    shapes: dict[str, tuple[torch.Size, torch.Size]] = {}
    hooks = []
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.BatchNorm1d):
            continue

        def remember(_module, args, output, name=name):
            if name in shapes:
                raise GraphError(f"layer {name!r} is used twice in one forward pass.")
            shapes[name] = (args[0].shape, output.shape)

        hooks.append(module.register_forward_hook(remember))
    try:
        with torch.no_grad():
            model(example)
    except GraphError:
        raise
    except Exception as error:
        raise GraphError(
            f"{type(model).__name__} does not run on an input of shape "
            f"{tuple(example.shape)}: {error}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def _is_depthwise(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and module.groups > 1
        and module.groups == module.in_channels == module.out_channels
    )


def _groups(module: nn.Module) -> int:
    """Groups of a grouped convolution; 1 for everything else, depthwise convolutions too."""
    if isinstance(module, nn.Conv2d) and not _is_depthwise(module):
        return module.groups
    return 1


def _reads(item) -> bool:
    """Whether this member of a group reads the channels and has others at its output."""
    module = item.dep.target.module
    return (
        isinstance(module, nn.Conv2d | nn.Linear | ChannelMap)
        and not _is_depthwise(module)
        and item.dep.handler.__name__ == "prune_in_channels"
    )


def _is_consumer(item) -> bool:
    """Whether this member of a group reads the channels and mixes them into others."""
    return _reads(item) and _has_weights(item)


def _has_weights(item) -> bool:
    return isinstance(
        item.dep.target.module, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.BatchNorm1d
    )


def _reason_fixed(group, names: dict[nn.Module, str]) -> str | None:
    """Why a group is left alone, or ``None`` where it can be pruned."""
    for item in group:
        node = item.dep.target
        if node.type == OPTYPE.OUTPUT:
            return "the network's output"
        if _has_weights(item):
            module = node.module
            if _groups(module) > 1 and (
                len(item.idxs) != len(group[0].idxs) or list(item.idxs) != list(item.root_idxs)
            ):
                return f"grouped convolution {names[module]!r} reads a shuffled or joined map"
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) and not module.affine:
                return f"batch norm {names[module]!r} without affine weights is not supported"
        elif node.type not in _WEIGHTLESS and not isinstance(node.module, ChannelMap):
            where = names.get(node.module, node.name)
            return f"{type(node.module).__name__} {where!r} is not supported"
    if not any(_is_consumer(item) for item in group):
        return "the network's output"
    channels, blocks = len(group[0].idxs), lcm(*(_groups(i.dep.target.module) for i in group))
    if blocks >= channels or channels % blocks:
        return f"its convolutions have {blocks} groups for {channels} channels"
    return None


def _axis_sizes(module: nn.Module) -> tuple[int, int]:
    if isinstance(module, nn.Conv2d):
        return module.in_channels, module.out_channels
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    size = module.num_features  # type: ignore[union-attr]
    assert isinstance(size, int)
    return size, size


def _norms_that_fold(dependencies, names: dict[nn.Module, str]) -> dict[str, str]:
    """Convolution or linear layer -> the batch norm that is the only reader of its output."""
    folds = {}
    for module, node in dependencies.module2node.items():
        readers = node.outputs
        if (
            isinstance(module, nn.Conv2d | nn.Linear)
            and len(readers) == 1
            and isinstance(readers[0].module, nn.BatchNorm2d | nn.BatchNorm1d)
        ):
            folds[names[module]] = names[readers[0].module]
    return folds


def _before_relu(dependencies, names: dict[nn.Module, str]) -> set[str]:
    """Layers and norms whose output a ReLU reads and nothing else does."""
    # The tracer knows operations without weights by the name of their derivative.
    return {
        names[module]
        for module, node in dependencies.module2node.items()
        if module in names
        and len(node.outputs) == 1
        and str(getattr(node.outputs[0].module, "_grad_fn", "")).startswith("ReluBackward")
    }


def _layer(name, module, outputs: Axis, inputs: Axis, shape, folds: dict[str, str]) -> Layer:
    before, after = shape
    height, width = (before[2], before[3]) if len(before) == 4 else (1, 1)
    common = {"name": name, "outputs": outputs, "height": height, "width": width}
    if isinstance(module, nn.Conv2d):
        depthwise = _is_depthwise(module)
        return Layer(
            kind="depthwise" if depthwise else "conv",
            inputs=None if depthwise else inputs,
            weights=module.kernel_size[0] * module.kernel_size[1],
            biases=int(module.bias is not None),
            kernel=module.kernel_size[0],
            stride=module.stride[0],
            sites=after[2] * after[3],
            groups=_groups(module),
            norm=folds.get(name),
            **common,
        )
    if isinstance(module, nn.Linear):
        return Layer(
            kind="linear",
            inputs=inputs,
            weights=1,
            biases=int(module.bias is not None),
            kernel=1,
            stride=1,
            sites=int(np.prod(after[1:-1], dtype=int)),
            norm=folds.get(name),
            **common,
        )
    return Layer(
        kind="norm", inputs=None, weights=1, biases=1, kernel=1, stride=1, sites=0, **common
    )
