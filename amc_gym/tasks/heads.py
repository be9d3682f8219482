"""Parts that networks use in training only: auxiliary heads, and answers that are not just logits.

Heads such as GoogLeNet's and Inception's read channels that pruning takes away, and no evaluation
sees them, so that nobody could say what they would have to become.  They are left out, which
training has to know: a network asks its own ``training`` flag whether to run them, and whether to
return more than logits.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from amc_gym._utils.dispatch import Watching
from amc_gym._utils.nests import Nest, called, samples
from amc_gym.tasks.admission import with_children

LEFT_OUT = "heads_left_out"
"""Attribute of a module: the names of those of its children that were auxiliary heads."""


EVALUATES = "modules_that_evaluate"
"""Attribute of a network: which of its modules stay in evaluation mode when it is trained."""

THEMSELVES = ("outermost", "all that hold others")
"""Choices of ``EVALUATES``, from the mildest on."""


def auxiliary_heads(model: nn.Module, images: Nest) -> tuple[str, ...]:
    """Names of the modules whose parameters training reads and evaluation does not.

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
    """Names of the parameters that no operation of a forward pass reads, in the model's mode.

    A pass that fails has read what it had read by then.
    """
    reads = _Reads()
    try:
        with torch.no_grad(), reads:
            called(model, images)
    except Exception:  # training may ask for more than images: for labels, or for larger batches
        if not model.training:
            raise
    return tuple(
        name
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if parameter.numel() and parameter.data_ptr() not in reads.addresses
    )


class _Reads(Watching):
    """Notes where the tensors that operations take begin in memory."""

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
    """A network that shares all with ``model`` but some heads, which are None; see ``train_mode``.

    Args:
        model: not changed.
        heads: names of modules in it; those that it does not have are passed over.
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
    """Names of the heads that ``without`` took from a network, or from one it was made from."""
    return tuple(
        f"{name}.{head}" if name else head
        for name, module in model.named_modules()
        for head in getattr(module, LEFT_OUT, ())
    )


def train_mode(model: nn.Module) -> None:
    """Set a network to training mode, in place.

    Modules that lost heads stay in evaluation mode themselves, though not what they hold, so that
    they ask for none of them and return logits alone; so do those that ``trained_alike`` found.
    """
    model.train()
    which = getattr(model, EVALUATES, None)
    for module in model.modules():
        outer = module is model if which == THEMSELVES[0] else any(True for _ in module.children())
        if getattr(module, LEFT_OUT, ()) or (which is not None and outer):
            module.training = False


def trained_alike(model: nn.Module, images: Nest, classes: int) -> nn.Module | None:
    """Return a network that returns logits in training too: ``model`` itself, if it does.

    Or else one that shares all with it, and whose outermost module, or all that hold others, stay
    in evaluation mode when it is trained.  Or None, if that does not help either.

    Args:
        model: in eval mode; not changed.
        images: inputs of a batch.
        classes: length of the logits.
    """
    if returns_logits_in_training(model, images, classes):
        return model
    for which in THEMSELVES:
        marked = with_children(model, {})
        marked.__dict__[EVALUATES] = which
        if returns_logits_in_training(marked, images, classes):
            return marked
    return None


def returns_logits_in_training(model: nn.Module, images: Nest, classes: int) -> bool:
    """Whether a network answers a batch with (N, classes) logits when it is trained."""
    trained = copy.deepcopy(model)
    train_mode(trained)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            answer = called(trained, images)
    except Exception:  # it may want labels
        return False
    return isinstance(answer, Tensor) and answer.shape == (samples(images), classes)
