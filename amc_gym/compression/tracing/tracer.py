"""Tracing of one forward pass, operation by operation, under a ``TorchDispatchMode``.

Hooks, user classes, functional calls, reused modules and any Python control flow are supported,
because nothing is captured or rewritten.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from amc_gym._utils import grad_mode
from amc_gym._utils.dispatch import EagerDispatchMode
from amc_gym._utils.nests import Nest, called, leaves, shape_text
from amc_gym.compression.channel_map import ChannelMap
from amc_gym.compression.cost import attention_in_steps
from amc_gym.compression.graph import GraphError
from amc_gym.compression.tracing.ceiling import ceiling_of
from amc_gym.compression.tracing.channel_norms import channel_norms
from amc_gym.compression.tracing.labels import Dimension, Labelled
from amc_gym.compression.tracing.record import Info, Operation, Passage, Trace
from amc_gym.compression.tracing.rules import Call, follow

MOST_SECONDS, MOST_OPERATIONS = 300.0, 200_000
"""Limits of a traced pass."""

WITH_WIDTHS = (nn.modules.batchnorm._NormBase, nn.PReLU, nn.GroupNorm)
"""Modules that store the number of their channels."""

_FILES = (__file__, grad_mode.__file__, torch.__file__)
_LIBRARIES = (*(f"{Path(file).parent}{os.sep}" for file in _FILES), "<")
"""Prefixes of file names that are not user code."""


def record(model: nn.Module, inputs: Nest) -> Trace:
    """Run ``model`` once on one image and follow its channels.

    Args:
        model: in eval mode; hooks are put on its modules for the pass.
        inputs: inputs of the model.

    Raises:
        GraphError: the model does not run, or the pass exceeds its limits.
    """
    tracer = Tracer(model)
    for tensor in leaves(inputs):
        labels: list[Dimension] = [None] * tensor.dim()
        if tensor.dim() > 1:
            labels[1] = tracer.trace.labels.new(tensor.shape[1], "the network's input")
        tracer.know(tensor, tuple(labels), constant=False)
    try:
        with tracer.watching(), torch.no_grad(), attention_in_steps(), Scales(tracer), tracer:
            outputs = called(model, inputs)
    except GraphError:
        raise
    except Exception as error:
        raise GraphError(
            f"{type(model).__name__} does not run on an input of shape "
            f"{shape_text(inputs)}: {shortened(error)}"
        ) from error
    for output in leaves(outputs):
        tracer.fix(output, "the network's output")
    return tracer.trace


def name_of(function: Any) -> str:
    """Return the name of an operation without its namespace and overload: "convolution"."""
    return function._overloadpacket.__name__


def macs_of(function: Any, args: Any, kwargs: Mapping[str, Any], out: Any) -> int:
    """Return the MACs of an operation: half of what ``torch.utils.flop_counter`` reports."""
    formula = flop_registry.get(function._overloadpacket)
    return 0 if formula is None else formula(*args, **kwargs, out_val=out) // 2


def shortened(error: Exception, most: int = 200) -> str:
    """Return an error's message in one line."""
    return textwrap.shorten(str(error), most)


def users_line(frame: FrameType | None = None) -> str:
    """Return the line of the user's code that is being executed, "file.py:line".

    Args:
        frame: the innermost one; that of the caller by default.
    """
    frame = frame or sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_LIBRARIES):
            return f"{Path(file).name}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


class Stack:
    """The stack of running modules, followed by hooks."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.running: list[tuple[str, nn.Module]] = [("", model)]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Follow the modules' forward passes."""
        handles = []
        for name, module in self.model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue
            handles.append(module.register_forward_pre_hook(self._enter(name), prepend=True))
            handles.append(module.register_forward_hook(self._leave(name), always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any) -> None:
            self.running.append((name, module))
            self.entered(name, module, args)

        return hook

    def _leave(self, name: str) -> Any:
        def hook(module: nn.Module, _args: Any, output: Any) -> None:
            self.running.pop()
            self.left(name, module, output)

        return hook

    def entered(self, name: str, module: nn.Module, args: Sequence[Any]) -> None:
        """Handle the beginning of a module's forward pass."""

    def left(self, name: str, module: nn.Module, output: Any) -> None:
        """Handle the end of a module's forward pass."""


class Tracer(EagerDispatchMode, Stack):
    """A mode that follows labels through the operations of a pass.

    Args:
        model: whose parameters and buffers get labels when they are first read.

    Attributes:
        trace: what has been recorded.
        channel_norms: dimensions that norms in steps normalise, by the name of the module.
    """

    def __init__(self, model: nn.Module) -> None:
        EagerDispatchMode.__init__(self)
        Stack.__init__(self, model)
        self.trace = Trace()
        self.channel_norms = channel_norms(model)
        self._known = WeakTensorKeyDictionary()
        self._numbers = 0
        self._names = {
            id(t): name for name, t in (*model.named_buffers(), *model.named_parameters())
        }
        self._kernels = {
            f"{name}.weight" if name else "weight"
            for name, module in model.named_modules()
            if isinstance(module, nn.modules.conv._ConvNd)
        }
        self._deadline = time.monotonic() + MOST_SECONDS
        self._map: Passage | None = None  # the channel map that is running

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        infos = [self.info(tensor) for tensor in tensors]
        name = name_of(func)
        operation = Operation(
            name,
            self.running[-1][0],
            users_line(),
            reads=tuple(info.number for info in infos),
            ceiling=ceiling_of(name, args, kwargs),
        )
        self._check_bounds(operation)
        shapes = [tuple(tensor.shape) for tensor in tensors]
        out = func(*args, **kwargs)
        operation.macs = macs_of(func, args, kwargs, out)
        self.trace.operations.append(operation)
        if self._map is None:
            follow(Call(self, func, args, kwargs, out, operation, tensors, infos, shapes))
        outputs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if outputs:
            first = self.info(outputs[0])
            operation.writes, operation.labels = first.number, first.labels
            operation.shape = tuple(outputs[0].shape)
            operation.others = tuple(self.info(each).labels for each in outputs[1:])
        return out

    def rescale(self, query: Tensor) -> None:
        """Record that a product divides by the root of its query's number of channels."""
        channels = self.info(query).labels[-1]
        # The slim replacement of torch's own attention keeps the original scale.
        if channels is not None and not isinstance(self.running[-1][1], nn.MultiheadAttention):
            self.trace.rescaled.append(channels)

    def _check_bounds(self, operation: Operation) -> None:
        if time.monotonic() > self._deadline or len(self.trace.operations) >= MOST_OPERATIONS:
            raise GraphError(
                f"one forward pass takes more than {MOST_SECONDS:.0f} s or {MOST_OPERATIONS:,} "
                f"operations; it was stopped at {operation}: trace on a smaller image"
            )

    def info(self, tensor: Tensor) -> Info:
        """Return the record of a tensor; parameters and buffers get their labels here."""
        if (found := self._known.get(tensor)) is not None:
            return found
        name = self._names.get(id(tensor))
        if name is None:  # made outside of the pass, or without torch's knowledge
            return self.know(tensor, (None,) * tensor.dim(), constant=None)
        channels = 2 if name in self._kernels else tensor.dim()
        labels = tuple(
            self.trace.labels.new(size) if dimension < channels else None
            for dimension, size in enumerate(tensor.shape)
        )
        self.trace.parameters[name] = labels
        return self.know(tensor, labels, constant=True, parameters=frozenset([name]))

    def know(
        self,
        tensor: Tensor,
        labels: Labelled,
        *,
        constant: bool | None,
        parameters: Iterable[str] = (),
    ) -> Info:
        """Record the labels of a tensor with new content."""
        self._numbers += 1
        info = Info(labels, self._numbers, constant, frozenset(parameters))
        self._known[tensor] = info
        return info

    def fix(self, tensor: Tensor, reason: str) -> None:
        """Fix all channels of a tensor, so that they are never pruned."""
        for dimension in self.info(tensor).labels:
            self.trace.labels.fix(dimension, reason)

    def entered(self, name: str, module: nn.Module, args: Sequence[Any]) -> None:
        """Record modules that store the number of their channels."""
        if not (args and isinstance(args[0], Tensor) and args[0].dim() > 1):
            return
        if isinstance(module, (*WITH_WIDTHS, ChannelMap)):
            channels = self.info(args[0]).labels[1]
            if channels is None:
                channels = self.trace.labels.new(args[0].shape[1], f"{name!r} reads no channels")
            outputs = channels
            if isinstance(module, ChannelMap):
                outputs = self.trace.labels.new(len(module.source))
            passage = Passage(name, len(self.trace.operations), channels, outputs)
            self.trace.passages.append(passage)
            if isinstance(module, ChannelMap):
                self._map = passage

    def left(self, name: str, module: nn.Module, output: Any) -> None:
        """Label the output of a channel map."""
        if isinstance(module, ChannelMap) and self._map is not None and isinstance(output, Tensor):
            labels = (None, self._map.outputs, *[None] * (output.dim() - 2))
            self.know(output, labels, constant=False)
            self._map = None


class Scales(TorchFunctionMode):
    """A mode that sees attention before PyTorch decomposes it into steps with a constant scale.

    Args:
        tracer: records queries whose scale depends on the number of their channels.
    """

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and kwargs.get("scale") is None:
            self._tracer.rescale(args[0] if args else kwargs["query"])
        return func(*args, **kwargs)
