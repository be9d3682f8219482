"""The executed operation that a rule receives, and the table of rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from amc_gym.compression.tracing.labels import ANY, Dimension, Labelled, Labels
from amc_gym.compression.tracing.record import Info, Operation, Statistics

if TYPE_CHECKING:
    from amc_gym.compression.tracing.tracer import Tracer

Rule = Callable[["Call"], None]
RULES: dict[str, Rule] = {}
"""Name of an ATen operation, without a trailing underscore -> its rule."""


@dataclass
class Call:
    """An executed operation with its arguments and result.

    Attributes:
        shapes: of the tensors among the arguments, before an in-place operation changed them.
    """

    tracer: Tracer
    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    operation: Operation
    tensors: list[Tensor]
    infos: list[Info]
    shapes: list[tuple[int, ...]]

    @cached_property
    def bound(self) -> dict[str, Any]:
        """Arguments by name, defaults filled in."""
        schema = self.func._schema.arguments
        values = {argument.name: argument.default_value for argument in schema}
        values |= {argument.name: value for argument, value in zip(schema, self.args, strict=False)}
        return values | self.kwargs

    @property
    def index(self) -> int:
        """Index of the operation in the pass."""
        return len(self.tracer.trace.operations) - 1

    @property
    def classes(self) -> Labels:
        """The classes of channels."""
        return self.tracer.trace.labels

    @property
    def outputs(self) -> list[Tensor]:
        """Tensors among the results."""
        return [leaf for leaf in tree_leaves(self.out) if isinstance(leaf, Tensor)]

    def labels(self, tensor: Tensor) -> Labelled:
        """Return the labels of an argument."""
        return self.tracer.info(tensor).labels

    def give(self, tensor: Tensor, labels: Sequence[Dimension]) -> None:
        """Set the labels of a result."""
        assert len(labels) == tensor.dim(), (self.operation, len(labels), tensor.shape)
        parameters = frozenset().union(*(info.parameters for info in self.infos))
        origins = {
            info.constant
            for tensor, info in zip(self.tensors, self.infos, strict=True)
            if info.constant is not None or tensor.numel() > 1  # scalars carry no information
        }
        constant = False if False in origins else True if origins == {True} else None
        self.tracer.know(tensor, tuple(labels), constant=constant, parameters=parameters)

    def give_all(self, labels: Sequence[Dimension]) -> None:
        """Set the labels of every result; those of other dimensions hold no channels."""
        for tensor in self.outputs:
            fits = len(labels) == tensor.dim() and all(
                each is None or len(each) == size
                for each, size in zip(labels, tensor.shape, strict=True)
            )
            self.give(tensor, labels if fits else (None,) * tensor.dim())

    def fix(self, dimension: Dimension, what: str = "") -> None:
        """Fix the channels of a dimension."""
        self.classes.fix(dimension, f"{what or 'reaches'} {self.operation}")

    def fix_all(self, what: str = "") -> None:
        """Fix everything that reaches this operation."""
        for info in self.infos:
            for dimension in info.labels:
                self.fix(dimension, what)
        for tensor in self.outputs:
            self.give(tensor, (None,) * tensor.dim())

    def normalise(self, labels: Dimension, dimension: int | None = None) -> None:
        """Record a norm that takes its statistics over channels.

        Args:
            labels: of the channels.
            dimension: that holds them in the module's input, if the operation is one of its steps.
        """
        if labels is not None:
            made = Statistics(self.operation.module, labels, dimension)
            self.tracer.trace.statistics.append(made)

    def unite(self, one: Dimension, other: Dimension) -> Dimension:
        """Unite the channels of two dimensions position by position, and return their labels."""
        if one is not None and (one == ANY).all():
            return other
        if one is None or other is None:
            self.fix(one, "meets positions that are no channels in")
            self.fix(other, "meets positions that are no channels in")
            return None
        self.classes.unite(one, other)
        return one


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for the operations with these names; use as a decorator."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register
