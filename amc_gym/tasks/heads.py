"""Auxiliary heads and other things that networks do in training mode only.

Heads such as GoogLeNet's and Inception's read channels that pruning removes, and evaluation never
runs them, so nothing determines how they would have to be adapted.  They are left out, which
affects training: a network's own ``training`` flag decides whether it runs them and whether it
returns more than logits.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from amc_gym._utils.dispatch import EagerDispatchMode
from amc_gym._utils.nests import Nest, called, samples
from amc_gym.tasks.admission import with_children

LEFT_OUT = "heads_left_out"
"""Attribute of a module that lists its children that were auxiliary heads."""


EVALUATES = "modules_that_evaluate"
"""Attribute of a network that says which modules stay in evaluation mode during training."""

EVALUATING = ("outermost", "all that hold others")
"""Values of ``EVALUATES``, from the smallest change to the largest."""


def auxiliary_heads(model: nn.Module, images: Nest) -> tuple[str, ...]:
    """Return the names of the modules whose parameters only training reads.

    Args:
        model: in eval mode; not changed.
        images: inputs of a batch.
    """
    unread = set(unread_parameters(model, images))
    if not unread:
        return ()
    trained = copy.deepcopy(model).train()
    with torch.random.fork_rng(devices=[]):
        reads = unread - set(unread_parameters(trained, images))
    found: list[str] = []
    for name, module in model.named_modules():
        own = {f"{name}.{parameter}" for parameter, _ in module.named_parameters()}
        within = any(name.startswith(f"{head}.") for head in found)
        if name and own and own <= unread and own & reads and not within:
            found.append(name)
    return tuple(found)


def unread_parameters(model: nn.Module, images: Nest) -> tuple[str, ...]:
    """Return the names of the parameters that no operation of a forward pass reads.

    The pass runs in the model's current mode; if it fails, what it had read by then counts.
    """
    reads = _Reads()
    try:
        with torch.no_grad(), reads:
            called(model, images)
    except Exception:  # training may need more than images: labels, or larger batches
        if not model.training:
            raise
    return tuple(
        name
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if parameter.numel() and parameter.data_ptr() not in reads.addresses
    )


class _Reads(EagerDispatchMode):
    """Records the memory addresses of the tensors that operations read."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor) and leaf.layout == torch.strided:
                self.addresses.add(leaf.data_ptr())
        return func(*args, **kwargs)


def without(model: nn.Module, heads: Sequence[str]) -> nn.Module:
    """Return a network that shares all with ``model`` but some heads, now None; see ``train_mode``.

    Args:
        model: not changed.
        heads: names of modules in it; unknown names are ignored.
    """
    for head in heads:
        if head in dict(model.named_modules()):
            model = _without(model, head.split("."))
    return model


def _without(module: nn.Module, path: list[str]) -> nn.Module:
    name, *rest = path
    if rest:
        child = module._modules[name]
        assert child is not None
        return with_children(module, {name: _without(child, rest)})
    made = with_children(module, {name: None})
    made.__dict__[LEFT_OUT] = (*getattr(module, LEFT_OUT, ()), name)
    return made


def left_out(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the heads that ``without`` removed, from a network or its original."""
    return tuple(
        f"{name}.{head}" if name else head
        for name, module in model.named_modules()
        for head in getattr(module, LEFT_OUT, ())
    )


def train_mode(model: nn.Module) -> None:
    """Set a network to training mode, in place.

    Modules that lost heads stay in evaluation mode, though their children do not, so that they run
    no missing head and return only logits; so do the modules that ``trained_alike`` found.
    """
    model.train()
    which = getattr(model, EVALUATES, None)
    for module in model.modules():
        outer = module is model if which == EVALUATING[0] else any(True for _ in module.children())
        if getattr(module, LEFT_OUT, ()) or (which is not None and outer):
            module.training = False


def trained_alike(model: nn.Module, images: Nest, classes: int) -> nn.Module | None:
    """Return a network that returns logits in training mode too: ``model`` itself, if it does.

    Otherwise return one that shares everything with it, and whose outermost module, or whose
    modules with children, stay in evaluation mode during training; or None, if neither helps.

    Args:
        model: in eval mode; not changed.
        images: inputs of a batch.
        classes: length of the logits.
    """
    if returns_logits_in_training(model, images, classes):
        return model
    for which in EVALUATING:
        marked = with_children(model, {})
        marked.__dict__[EVALUATES] = which
        if returns_logits_in_training(marked, images, classes):
            return marked
    return None


def returns_logits_in_training(model: nn.Module, images: Nest, classes: int) -> bool:
    """Return whether a network returns (N, classes) logits for a batch in training mode."""
    trained = copy.deepcopy(model)
    train_mode(trained)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            answer = called(trained, images)
    except Exception:  # it may want labels
        return False
    return isinstance(answer, Tensor) and answer.shape == (samples(images), classes)
