"""The record of one traced forward pass: operations, uses of weights, labels of parameters."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from amc_gym.compression.tracing.labels import Dimension, Labelled, Labels


@dataclass
class Info:
    """Labels and origin of a tensor.

    Attributes:
        labels: of its dimensions.
        number: of its present content; writing in place gives a new one.
        constant: whether it was made from parameters alone, without the inputs; ``None`` if it
            comes from neither.
        parameters: names of the parameters and buffers that it was made from.
    """

    labels: Labelled
    number: int
    constant: bool | None = None
    parameters: frozenset[str] = frozenset()


@dataclass
class Operation:
    """One executed operation.

    Attributes:
        name: such as "convolution".
        module: name of the innermost module that was running.
        line: of the user's code, "file.py:line".
        macs: multiply-accumulates, half of what torch's FLOP counter reports.
        reads: numbers of the contents it read.
        writes: number of its first output's content.
        labels: of its first output.
        shape: of its first output.
        others: labels of its other outputs, such as the parts of a split.
        ceiling: of a ReLU, see ``ceiling_of``; ``None`` for other operations.
    """

    name: str
    module: str
    line: str
    macs: int = 0
    reads: tuple[int, ...] = ()
    writes: int = -1
    labels: Labelled = ()
    shape: tuple[int, ...] = ()
    others: tuple[Labelled, ...] = ()
    ceiling: float | None = None

    def __str__(self) -> str:
        within = f" in {self.module!r}" if self.module else ""
        return f"{self.name}{within} ({self.line})"


@dataclass(frozen=True)
class Use:
    """One run of a layer that mixes channels: a convolution or a product with a weight.

    Attributes:
        layer: name of the module that holds the weight.
        inside: whether it happened in the module's own forward pass.
        operation: index of the operation.
        inputs: labels of the mixed channels, (I,); ``None`` if nothing is mixed (depthwise).
        outputs: labels of the channels that are produced, (O,).
        groups: of a grouped convolution; 1 for depthwise ones.
        multiplier: outputs for each input of a depthwise convolution, otherwise 0.
        before: shape of its input.
        after: shape of its output.
    """

    layer: str
    inside: bool
    operation: int
    inputs: Dimension
    outputs: np.ndarray
    groups: int
    multiplier: int
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class Product:
    """One product of feature maps without a weight, as in attention.

    Attributes:
        operation: index of the operation.
        mixed: labels of the channels that are summed over; ``None`` if it sums over positions.
        made: labels of the dimensions of the result.
    """

    operation: int
    mixed: Dimension
    made: tuple[Dimension, ...]

    @property
    def dimensions(self) -> list[np.ndarray]:
        """Return every dimension of channels that its cost is proportional to."""
        return [each for each in (self.mixed, *self.made) if each is not None]


@dataclass(frozen=True)
class Passage:
    """One run of a module that stores the number of its channels: a norm or a channel map.

    Attributes:
        module: its name.
        operation: number of operations that had run before it.
        inputs: labels of the channels that go in, (C,).
        outputs: labels of the channels that come out; those of the input, except for channel maps.
    """

    module: str
    operation: int
    inputs: np.ndarray
    outputs: np.ndarray


@dataclass(frozen=True)
class Statistics:
    """One run of a norm that takes its statistics over channels.

    Attributes:
        module: name of the module that runs it.
        channels: their labels, (C,).
        dimension: of the module's input, with the channels, if the norm takes several operations,
            which are all that the module does; ``None`` if it is one operation of PyTorch.
    """

    module: str
    channels: np.ndarray
    dimension: int | None


@dataclass
class Trace:
    """Everything recorded in one forward pass.

    Attributes:
        labels: the classes of channels.
        operations: in execution order.
        uses: of layers, in execution order.
        free: uses of weights that no layer holds, named by their parameters.
        products: of feature maps, in execution order.
        summed: labels of channels that reductions sum over.
        passages: of norms and channel maps, in execution order.
        statistics: of norms over channels, in execution order.
        parameters: labels of each parameter and buffer that was read, by name.
        width_labels: labels of the channels that an attribute counts, by module and attribute.
        rescaled: labels of channels whose weights have to compensate for a scale that depends on
            their number.
    """

    labels: Labels = field(default_factory=Labels)
    operations: list[Operation] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    free: list[Use] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    summed: list[np.ndarray] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    statistics: list[Statistics] = field(default_factory=list)
    parameters: dict[str, Labelled] = field(default_factory=dict)
    width_labels: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    rescaled: list[np.ndarray] = field(default_factory=list)

    @cached_property
    def written(self) -> dict[int, Operation]:
        """The operation that wrote each content, by the content's number."""
        return {operation.writes: operation for operation in self.operations}

    def read_by(self, reader: Operation) -> Labelled:
        """Return the labels of the first tensor that an operation read."""
        found = self.written.get(reader.reads[0]) if reader.reads else None
        return () if found is None else found.labels

    def behind(self, last: Operation, wanted: Collection[int]) -> list[int]:
        """Return the wanted contents that reach an operation without passing a layer.

        Args:
            last: the operation.
            wanted: numbers of contents, beyond which nothing is searched either.
        """
        found, seen, waiting = [], set(self._from_layers), [last]
        while waiting:
            for number in waiting.pop().reads:
                if number in seen or number not in self.written:
                    continue
                seen.add(number)
                if number in wanted:
                    found.append(number)
                else:
                    waiting.append(self.written[number])
        return sorted(found)

    @cached_property
    def _from_layers(self) -> frozenset[int]:
        """The contents that layers, or other weights, wrote."""
        uses = (*self.uses, *self.free)
        return frozenset(self.operations[use.operation].writes for use in uses)
