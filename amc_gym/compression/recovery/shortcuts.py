"""Shortcuts: what a layer's output is added to, so that the layer can compensate its errors.

In a residual block y = r(f(x) + s) the errors of all earlier blocks are in s.  Re-fitting a layer
towards f(x) + (s - s~), where s~ is what the pruned network adds, corrects them; towards f(x) alone
they add up from block to block.

Additions are functions, not modules, so they are observed while a network runs: every call of a
torch function gets a number, which is the same for the original network and its slim copies, and an
addition refers to the calls that produced its operands.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from amc_gym._utils.nests import Nest, called
from amc_gym.compression.tracing.ceiling import ceiling_of

_ADDITIONS = {torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__iadd__, Tensor.__radd__}


@dataclass
class Shortcut:
    """The shortcut that one layer's output is added to.

    Attributes:
        call: number of the call that produces the other operand, before the layer runs.
        ceiling: of the ReLU that is the only reader of the sum; ``None`` if there is none.
    """

    call: int
    ceiling: float | None = None


class Calls(TorchFunctionMode):
    """A mode that numbers the calls of torch functions while a network runs.

    Args:
        wanted: numbers of calls whose results are kept.
        made: called with (number, function, arguments, keywords, result) of each call.
    """

    def __init__(
        self,
        wanted: frozenset[int] = frozenset(),
        made: Callable[[int, Any, tuple[Any, ...], dict[str, Any], Any], None] | None = None,
    ) -> None:
        super().__init__()
        self.count = 0
        self._paused = False
        self.results: dict[int, Tensor] = {}
        self._wanted, self._made = wanted, made

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if self._paused:
            return result
        self.count += 1
        if self.count in self._wanted:
            self.results[self.count] = result
        if self._made is not None:
            self._made(self.count, func, args, kwargs or {}, result)
        return result

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave calls within the block, such as those of hooks, without a number."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False


class _Watch:
    """A record of which call produced which tensor, and of additions."""

    def __init__(self) -> None:
        self.shortcuts: dict[str, Shortcut] = {}
        self.started: dict[str, int] = {}
        self._made: dict[int, tuple[weakref.ref[Tensor], int]] = {}
        self._outputs: dict[int, tuple[weakref.ref[Tensor], str]] = {}
        self._sums: dict[int, tuple[weakref.ref[Tensor], str]] = {}

    def produced(self, name: str, output: Tensor) -> None:
        """Record a layer's output, after its norm."""
        self._outputs[id(output)] = weakref.ref(output), name

    def called(
        self, number: int, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:
        tensors = [each for each in args if isinstance(each, Tensor)]
        if func in _ADDITIONS and len(tensors) == 2:
            self._added(tensors[0], tensors[1], result)
        else:
            ceiling = ceiling_of(getattr(func, "__name__", ""), args, kwargs)
            for tensor in tensors:
                if (name := self._sums.pop(id(tensor), (None, None))[1]) is not None:
                    self.shortcuts[name].ceiling = ceiling
                self._outputs.pop(id(tensor), None)  # not only read by sums
        if isinstance(result, Tensor):
            self._made[id(result)] = weakref.ref(result), number

    def _added(self, one: Tensor, other: Tensor, result: Any) -> None:
        layers = {
            name: second
            for first, second in ((one, other), (other, one))
            if (name := self._known(self._outputs, first)) is not None
        }
        for tensor in (one, other):
            self._outputs.pop(id(tensor), None)
            self._sums.pop(id(tensor), None)
        if not layers or one.shape != other.shape:
            return
        last = max(layers, key=self.started.__getitem__)  # it runs after the other operand was made
        call = self._known(self._made, layers[last])
        if call is not None and call <= self.started[last]:
            self.shortcuts[last] = Shortcut(call)
            self._sums[id(result)] = weakref.ref(result), last

    @staticmethod
    def _known(table: Mapping[int, tuple[weakref.ref[Tensor], Any]], tensor: Tensor) -> Any:
        reference, value = table.get(id(tensor), (None, None))
        # Object ids are reused: the reference tells whether it is still the same object.
        return value if reference is not None and reference() is tensor else None


def find(model: nn.Module, images: Nest, layers: Mapping[str, str]) -> dict[str, Shortcut]:
    """Find the shortcuts of a network's layers.

    Args:
        model: in eval mode.
        images: inputs of a few samples.
        layers: name of each layer of interest -> name of the module that ends it: its norm or
            itself.

    Returns:
        Layer name -> its shortcut; layers whose output is not added to anything are left out, as
        are those that run before the other operand is produced.
    """
    watch = _Watch()
    calls = Calls(made=watch.called)
    hooks = []
    for name, last in layers.items():

        def begins(_module: nn.Module, _args: Any, name: str = name) -> None:
            watch.started[name] = calls.count

        def ends(_module: nn.Module, _args: Any, output: Tensor, name: str = name) -> None:
            watch.produced(name, output)

        hooks.append(model.get_submodule(name).register_forward_pre_hook(begins))
        hooks.append(model.get_submodule(last).register_forward_hook(ends))
    try:
        with torch.no_grad(), calls:
            called(model, images)
    finally:
        for hook in hooks:
            hook.remove()
    return watch.shortcuts
