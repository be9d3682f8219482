"""Admission of networks: checks made once, with errors that name the cause and the fix."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from amc_gym._utils.arguments import described
from amc_gym._utils.grad_mode import recording
from amc_gym._utils.nests import Nest, called, leaves, mapped, samples, shape_text, take

WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module"}
WRAPPERS["DistributedDataParallel"] = "module"
"""Class of a torch wrapper -> attribute that holds the network."""

SAME = 1e-3
"""Relative difference up to which two outputs for the same input count as equal."""


def admitted(model: Any) -> nn.Module:
    """Return the network to compress: ``model``, without torch's wrappers.

    The wrappers ``torch.compile``, ``DataParallel`` and ``DistributedDataParallel`` are removed at
    any depth; the modules inside are shared, not copied, and ``model`` is not changed.  A model
    made in inference mode is copied, because its weights can have no gradients.

    Raises:
        TypeError: it is not a module.
        ValueError: it is scripted, quantised, in training mode, has no parameters, cannot be
            copied, or a weight is not a finite float32 number; the message names the fix.
    """
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise TypeError(f"the model must be a network, not its class: pass {model.__name__}(...)")
    if isinstance(model, dict):
        raise TypeError(
            "the model must be a torch.nn.Module, not a state_dict: build the network and load "
            "it, model.load_state_dict(...)"
        )
    if not isinstance(model, nn.Module):
        raise TypeError(f"the model must be a torch.nn.Module, not {described(model)}")
    _refuse_scripted(model)
    model = unwrapped(model)
    _refuse_scripted(model)
    if any(module.training for module in model.modules()):
        raise ValueError("the model is in training mode: call model.eval() first")
    if any(not is_lazy(tensor) and tensor.is_inference() for _, tensor in _tensors(model)):
        _check_copies(model)
        with recording():
            model = copy.deepcopy(model)
    _check_weights(model)
    _check_hooks(model)
    _check_copies(model)
    return model


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network without torch's wrappers; itself if there are none.

    Modules that contain a wrapped one are copied shallowly: parameters and buffers are shared.
    """
    return _unwrapped(model, {})


def _unwrapped(module: nn.Module, seen: dict[nn.Module, nn.Module]) -> nn.Module:
    if module in seen:
        return seen[module]
    outer, inner = module, module
    while type(inner).__name__ in WRAPPERS and type(inner).__module__.startswith("torch."):
        inner = getattr(inner, WRAPPERS[type(inner).__name__])
    children = {name: child for name, child in inner._modules.items() if child is not None}
    found = {name: _unwrapped(child, seen) for name, child in children.items()}
    changed = {name: child for name, child in found.items() if child is not children[name]}
    compiled = getattr(inner, "_compiled_call_impl", None) is not None  # by module.compile()
    seen[outer] = with_children(inner, changed) if changed or compiled else inner
    return seen[outer]


def with_children(module: nn.Module, children: dict[str, Any]) -> nn.Module:
    """Return a copy of a module that shares everything with it except the given children."""
    made = object.__new__(type(module))
    made.__dict__.update(module.__dict__)
    made.__dict__["_compiled_call_impl"] = None
    made.__dict__["_modules"] = {**module._modules, **children}
    return made


def _refuse_scripted(model: nn.Module) -> None:
    for name, module in model.named_modules():
        where = f"the model's {name!r}" if name else "the model"
        if isinstance(module, torch.jit.ScriptModule):
            raise ValueError(
                f"{where} is scripted (torch.jit), which cannot be pruned: pass the nn.Module that "
                "it was made from"
            )
        if type(module).__module__.startswith(("torch.ao.nn.quantized", "torch.nn.quantized")):
            raise ValueError(
                f"{where} is quantised, which cannot be pruned: prune the float32 network first"
            )
    if isinstance(model, torch.fx.GraphModule) and "eval" in vars(model):  # torch.export's fails
        raise ValueError(
            "the model is an exported program, which cannot be pruned: pass the nn.Module that it "
            "was made from"
        )


def _check_weights(model: nn.Module) -> None:
    if not any(parameter.numel() for parameter in _parameters(model)):
        raise ValueError(
            "the model has no parameters, so there is nothing to prune: pass a trained network"
        )
    places = {tensor.device for _, tensor in _tensors(model)}
    if torch.device("meta") in places:
        raise ValueError("the model is on the meta device, without weights: load them first")
    if len(places) > 1:
        raise ValueError(
            f"the model's weights are on several devices ({', '.join(sorted(map(str, places)))}): "
            "move it to one, model.to('cpu')"
        )
    for name, tensor in _tensors(model):
        if isinstance(tensor, nn.Parameter) and tensor.dtype != torch.float32:
            fix = "call model.float() first" if tensor.is_floating_point() else "make it a buffer"
            raise ValueError(f"the model's parameter {name!r} is {tensor.dtype}: {fix}")
        if _is_broken(name, tensor):
            raise ValueError(
                f"the model's {name!r} holds NaN or infinity, so its training has diverged: load "
                "other weights"
            )


def _is_broken(name: str, tensor: Tensor) -> bool:
    """Return whether values are NaN, or infinite where they must not be (masks may be infinite)."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return False
    if isinstance(tensor, nn.Parameter) or "running_" in name:
        return not bool(tensor.isfinite().all())
    return bool(tensor.isnan().any())


def _parameters(model: nn.Module) -> Iterator[Tensor]:
    for name, parameter in model.named_parameters():
        if is_lazy(parameter):
            raise ValueError(
                f"the model's {name!r} has no shape yet: run the network once on an image, and "
                "then train it or load its weights"
            )
        yield parameter


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


HOOKS = {
    "WeightNorm": "torch.nn.utils.remove_weight_norm(layer) takes it off, and "
    "torch.nn.utils.parametrizations.weight_norm(layer) does the same properly",
    "SpectralNorm": "torch.nn.utils.remove_spectral_norm(layer) takes it off, and "
    "torch.nn.utils.parametrizations.spectral_norm(layer) does the same properly",
    "BasePruningMethod": "torch.nn.utils.prune.remove(layer, 'weight') makes it permanent",
}
"""Hooks of torch that compute a weight before each pass, which prevents copies -> the fix."""


def _check_hooks(model: nn.Module) -> None:
    for name, module in model.named_modules():
        for hook in module._forward_pre_hooks.values():
            for kind in inspect.getmro(type(hook)):
                if kind.__name__ in HOOKS and kind.__module__.startswith("torch."):
                    raise ValueError(
                        f"the model's {name!r} computes its weight in a hook, {kind.__name__}: "
                        f"{HOOKS[kind.__name__]}"
                    )


def _check_copies(model: nn.Module) -> None:
    """Try to copy everything but the weights, because small networks are made from copies."""
    weights: dict[int, Any] = {id(tensor): tensor for _, tensor in _tensors(model)}
    try:
        copy.deepcopy(model, weights)
    except Exception as error:
        raise ValueError(
            f"the model cannot be copied, because copy.deepcopy(model) fails ({error}): keep "
            "tensors in buffers, and open files or locks elsewhere"
        ) from error


def classes_of(model: nn.Module, images: Nest, name: str = "model") -> int:
    """Return the number of classes that a network distinguishes.

    Args:
        model: in eval mode.
        images: inputs of two or more samples, or of the only one.
        name: what the user calls it.

    Raises:
        ValueError: it does not run on them, its outputs are not finite logits (N, classes), or it
            gives different outputs for the same input.
    """
    n, one = samples(images), take(images, slice(1))
    _logits(answer(model, one, f"on one image of shape {shape_text(one)}", name), 1, name)
    logits = _logits(answer(model, images, f"on {n} images", name), n, name)
    if not logits.isfinite().all():
        raise ValueError(
            f"the {name}'s logits are NaN or infinite: its weights or the normalisation of the "
            "images differ from those of its training; load the right ones"
        )
    again = answer(model, images, f"on {n} images", name)
    refuse_chance(name, again, logits)
    return logits.shape[1]


def refuse_chance(name: str, again: Nest, before: Nest) -> None:
    """Refuse a network that gives different outputs for the same input.

    Raises:
        ValueError: it does; the message suggests the usual cause.
    """
    pairs = list(zip(leaves(again), leaves(before), strict=False))
    same = len(leaves(again)) == len(pairs) and all(one.shape == two.shape for one, two in pairs)
    for one, two in pairs:
        if not same or not two.numel():
            continue
        scale = max(float(two.abs().max()), 1e-6)
        same = float((one.double() - two.double()).abs().max()) <= SAME * scale
    if not same:
        raise ValueError(
            f"the {name} gives different outputs for the same input: nothing may be random in "
            "evaluation mode, so call F.dropout with training=self.training"
        )


def answer(model: nn.Module, images: Nest, what: str, name: str = "model") -> Any:
    """Return a network's outputs, without gradients.

    Args:
        model: in eval mode.
        images: inputs of a batch.
        what: describes them in messages: "on 2 images".
        name: what the user calls the network.

    Raises:
        ValueError: it does not run on them, or changes them.
    """
    given = mapped(Tensor.clone, images)
    try:
        with torch.no_grad():
            found = called(model, given)
    except Exception as error:
        raise ValueError(f"the {name} does not run {what}: {error}") from error
    if not all(map(torch.equal, leaves(given), leaves(images))):
        raise ValueError(
            f"the {name} changes its input images in place: write x = x - mean instead of "
            "x -= mean, and use no inplace=True on its input"
        )
    return found


def _logits(found: Any, images: int, name: str) -> Tensor:
    demand = f"the {name} must return logits of shape (N, classes)"
    if not isinstance(found, Tensor):
        raise ValueError(
            f"{demand}, not {type(found).__name__}: wrap it in a module whose forward returns "
            "the logits alone"
        )
    if found.ndim != 2 or len(found) != images or not found.is_floating_point():
        raise ValueError(f"{demand}, not {tuple(found.shape)} of {found.dtype} for {images} images")
    if found.shape[1] < 2:
        raise ValueError(f"{demand}, of two classes at least: for yes or no, one logit for each")
    return found
