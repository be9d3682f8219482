"""One executed operation as a rule sees it, and the table of rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from amc_gym.compression.tracing.labels import ANY, Dimension, Labelled, Labels
from amc_gym.compression.tracing.record import Info, Operation

if TYPE_CHECKING:
    from amc_gym.compression.tracing.tracer import Tracer

Rule = Callable[["Call"], None]
RULES: dict[str, Rule] = {}
"""Names of ATen operations, without an underscore at the end -> what they do with labels."""


@dataclass
class Call:
    """One executed operation, its arguments and its result.

    Attributes:
        shapes: of the tensors among the arguments, before an operation in place changed them.
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
        """Place of the operation among those of the pass."""
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
        """Labels of an argument."""
        return self.tracer.info(tensor).labels

    def give(self, tensor: Tensor, labels: Sequence[Dimension]) -> None:
        """Label a result."""
        assert len(labels) == tensor.dim(), (self.operation, len(labels), tensor.shape)
        parameters = frozenset().union(*(info.parameters for info in self.infos))
        origins = {
            info.constant
            for tensor, info in zip(self.tensors, self.infos, strict=True)
            if info.constant is not None or tensor.numel() > 1  # numbers say nothing
        }
        constant = False if False in origins else True if origins == {True} else None
        self.tracer.know(tensor, tuple(labels), constant=constant, parameters=parameters)

    def give_all(self, labels: Sequence[Dimension]) -> None:
        """Label every result alike; those of another number of dimensions hold no channels."""
        for tensor in self.outputs:
            fits = len(labels) == tensor.dim() and all(
                each is None or len(each) == size
                for each, size in zip(labels, tensor.shape, strict=True)
            )
            self.give(tensor, labels if fits else (None,) * tensor.dim())

    def fix(self, dimension: Dimension, what: str = "") -> None:
        """Never prune the channels of a dimension."""
        self.classes.fix(dimension, f"{what or 'reaches'} {self.operation}")

    def fix_all(self, what: str = "") -> None:
        """Never prune anything that reaches this operation."""
        for info in self.infos:
            for dimension in info.labels:
                self.fix(dimension, what)
        for tensor in self.outputs:
            self.give(tensor, (None,) * tensor.dim())

    def unite(self, one: Dimension, other: Dimension) -> Dimension:
        """Channels of two dimensions that belong together, position by position."""
        if one is not None and (one == ANY).all():
            return other
        if one is None or other is None:
            self.fix(one, "meets positions that are no channels in")
            self.fix(other, "meets positions that are no channels in")
            return None
        self.classes.unite(one, other)
        return one


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for operations of these names."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register
