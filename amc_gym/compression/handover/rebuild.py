"""A slim network as data: sizes and tensors by which its original is resized.

There is no pickle, and no class is defined twice: the original is constructed as usual, and each of
its modules gets the stored sizes and tensors.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from amc_gym._utils.names import printable
from amc_gym.compression.handover.tied import complete
from amc_gym.compression.narrow_attention import NarrowAttention, narrow
from amc_gym.compression.slim import set_width

SIZES = (
    "in_channels",
    "out_channels",
    "groups",
    "in_features",
    "out_features",
    "num_features",
)
"""Attributes of modules that depend on the channel counts of a plan."""

Layers = dict[str, dict[str, Any]]
"""Module name -> {"sizes": {attribute: int}, "tensors": {name: shape}}."""


_Made = dict[int, tuple[torch.Tensor, torch.Tensor]]
"""Identity of a tensor -> itself, so that the identity stays its own, and what replaced it."""


class RebuildError(ValueError):
    """Raised for a description that does not belong to the network it is applied to."""


def describe(network: nn.Module, original: nn.Module | None = None) -> Layers:
    """Return sizes and shapes of every module with tensors of its own, ready for JSON.

    Args:
        network: the slim network.
        original: the network that it was made from.  Where one of its modules has another number in
            an attribute, or in a tuple, that number is added to the sizes: "width", "shape[0]".
            Smaller buffers are added to the tensors even if networks do not save them.
    """
    others = dict(original.named_modules()) if original is not None else {}
    layers = {}
    for name, module in network.named_modules():
        tensors = _own_tensors(module) | _cut_buffers(module, others.get(name))
        sizes = {
            size: getattr(module, size)
            for size in SIZES
            if type(getattr(module, size, None)) is int  # other classes may use these names
        }
        numbers = _numbers(others[name]) if name in others else {}
        now = _numbers(module)
        sizes = (sizes if tensors else {}) | {
            each: now[each] for each, old in numbers.items() if 0 < now.get(each, 0) < old
        }
        if isinstance(module, NarrowAttention):  # its heads may be whole, its stream is narrower
            sizes["head_dim"] = module.head_dim
        if tensors or sizes:
            shapes = {key: list(tensor.shape) for key, tensor in tensors.items()}
            layers[name] = {"sizes": sizes, "tensors": shapes}
    return layers


def named_in(layers: Layers) -> list[str]:
    """Return the names of all described tensors."""
    return [
        f"{module}.{key}" if module else key
        for module, layer in layers.items()
        for key in layer["tensors"]
    ]


def _cut_buffers(module: nn.Module, original: nn.Module | None) -> dict[str, torch.Tensor]:
    """Return the buffers that are not in the ``state_dict``, but smaller than the original's."""
    found, full = _unsaved_buffers(module), _unsaved_buffers(original or module)
    return {key: tensor for key, tensor in found.items() if tensor.shape != full[key].shape}


def _unsaved_buffers(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the buffers of a module that are not in the ``state_dict``."""
    unsaved = module._non_persistent_buffers_set
    return {key: tensor for key, tensor in module.named_buffers(recurse=False) if key in unsaved}


def _numbers(module: nn.Module) -> dict[str, int]:
    """Return a module's integers by attribute, and by position in tuples and lists."""
    found = {}
    for name, value in vars(module).items():
        if type(value) is int:
            found[name] = value
        elif isinstance(value, (tuple, list)):
            found |= {f"{name}[{i}]": each for i, each in enumerate(value) if type(each) is int}
    return found


def rebuild(original: nn.Module, layers: Layers, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """Return a copy of ``original`` with the described network's sizes and tensors, in eval mode.

    Args:
        original: the uncompressed network, with any weights; not changed.
        layers: result of ``describe``.
        tensors: the described network's ``state_dict``, possibly with tied tensors only once.

    Raises:
        RebuildError: the layers are not those of ``original``, or a tensor's shape differs from the
            description.
    """
    network = copy.deepcopy(original)
    tensors = complete(network, tensors)
    made: _Made = {}
    found = describe(network)
    modules = dict(network.named_modules())
    strangers = sorted((found.keys() - layers.keys()) | (layers.keys() - modules.keys()))
    if strangers:
        raise RebuildError(
            f"the file describes another network than {type(original).__name__}: "
            f"they differ in {', '.join(map(repr, strangers[:3]))}"
        )
    for name, layer in layers.items():
        module = modules[name]
        _refuse_larger(name, layer, found.get(name, {"sizes": {}, "tensors": {}}), module)
        for size, value in layer["sizes"].items():
            _set(module, size, value)
        for key, shape in layer["tensors"].items():
            tensor = tensors.get(f"{name}.{key}" if name else key)
            if tensor is None or list(tensor.shape) != shape:
                raise RebuildError(f"the weights of {name!r} are not those that are described")
            _replace(name, module, key, tensor, made)
        if not _fits(module):
            raise RebuildError(f"the sizes of {name!r} are not those of its weights")
    return network.eval()


def _own_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors that a module itself adds to the ``state_dict``."""
    submodules = {name.partition(".")[0] for name, _ in module.named_children()}
    return {
        key: tensor
        for key, tensor in module.state_dict().items()
        if key.partition(".")[0] not in submodules
    }


def _set(module: nn.Module, size: str, value: int) -> None:
    """Set a size attribute of a module, in the same way as in a slim network."""
    if isinstance(module, nn.MultiheadAttention) and size == "head_dim":
        narrow(module, value * module.num_heads)
    elif size in SIZES:
        setattr(module, size, value)
    else:
        set_width(module, value, size)


def _refuse_larger(
    name: str, layer: Mapping[str, Any], original: Mapping[str, Any], module: nn.Module
) -> None:
    shapes = layer["tensors"]
    unsaved = {key: list(tensor.shape) for key, tensor in _unsaved_buffers(module).items()}
    full = original["tensors"] | {key: unsaved[key] for key in shapes if key in unsaved}
    numbers = _numbers(module) | original["sizes"]
    sizes = layer["sizes"]
    same = shapes.keys() == full.keys() and original["sizes"].keys() <= sizes.keys()
    others = sizes.keys() - original["sizes"].keys()
    if any(numbers.get(each, 0) < sizes[each] for each in others):
        same = False
    if not same or any(
        len(shape) != len(full[key]) or any(map(int.__gt__, shape, full[key]))
        for key, shape in shapes.items()
    ):
        raise RebuildError(
            f"the file describes another network: {name!r} is not a smaller layer of the original"
        )


def _replace(name: str, module: nn.Module, key: str, tensor: torch.Tensor, made: _Made) -> None:
    old = getattr(module, key)
    if id(old) in made:  # tied to a tensor that has been replaced
        value = made[id(old)][1]
        if not torch.equal(value, tensor.to(value)):
            raise RebuildError(f"the weights of {name!r} are not those that they are tied to")
        setattr(module, key, value)
        return
    if tensor.is_floating_point() != old.is_floating_point() or tensor.is_complex():
        raise RebuildError(f"the weights of {name!r} are {tensor.dtype}, not {old.dtype}")
    if tensor.isnan().any():
        raise RebuildError(f"the weights of {name!r} are not numbers")
    value = tensor.to(old.device, old.dtype)
    if isinstance(old, nn.Parameter):
        value = nn.Parameter(value, requires_grad=old.requires_grad)
    made[id(old)] = old, value
    setattr(module, key, value)


def _fits(module: nn.Module) -> bool:
    """Return whether the sizes of a PyTorch layer are those of its tensors."""
    if isinstance(module, _ConvNd):
        inputs, outputs, groups = module.in_channels, module.out_channels, module.groups
        if inputs % groups or outputs % groups:
            return False
        axes = (inputs, outputs // groups) if module.transposed else (outputs, inputs // groups)
        return tuple(module.weight.shape) == (*axes, *module.kernel_size) and (
            module.bias is None or len(module.bias) == outputs
        )
    if isinstance(module, nn.Linear):
        return tuple(module.weight.shape) == (module.out_features, module.in_features) and (
            module.bias is None or len(module.bias) == module.out_features
        )
    if isinstance(module, _NormBase):
        vectors = (module.weight, module.bias, module.running_mean, module.running_var)
        return all(t is None or tuple(t.shape) == (module.num_features,) for t in vectors)
    return True


def refuse_unusable(network: nn.Module, original: nn.Module, shape: Sequence[int]) -> None:
    """Refuse a rebuilt network that does not run on inputs of its original.

    Args:
        network: the rebuilt network.
        original: the original, with any weights.
        shape: of one image, (C, H, W), from the description.

    Raises:
        RebuildError: it does not run, because its layers do not fit together.
    """
    device = next(iter(original.state_dict().values())).device
    image = torch.zeros(1, *shape, device=device)
    with torch.inference_mode():
        try:
            expected = copy.deepcopy(original).eval()(image)
        except Exception:
            return  # it takes something else than such float32 images
        try:
            found = network(image)
        except Exception as error:
            raise RebuildError(
                f"its layers do not fit together ({printable(str(error), 200)})"
            ) from error
    if isinstance(expected, torch.Tensor) and getattr(found, "shape", None) != expected.shape:
        raise RebuildError("it has other outputs than the original")
