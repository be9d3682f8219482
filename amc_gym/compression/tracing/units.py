"""Units of decision, made from classes of labels.

A layer's output channels are decided together, and so are those of all layers that share a class
with them: the producers of a residual stream, or a layer and the depthwise convolution after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import lcm

import numpy as np

from amc_gym.compression.graph import FIXED, Axis
from amc_gym.compression.tracing.labels import Dimension, EqualParts, Labels


class Units:
    """Groups of classes that are decided together.

    Args:
        labels: the classes.
        origins: output labels of each layer that produces channels, in execution order.
        axes: every dimension that a slim network selects from, by a name for messages; dimensions
            that layers read have the layers' names.

    Attributes:
        channels: classes of each unit in the order of its first producer, (channels,).
        blocks: number of consecutive blocks that keep equally many channels.
    """

    def __init__(
        self,
        labels: Labels,
        origins: Sequence[np.ndarray],
        axes: Mapping[str, np.ndarray],
    ) -> None:
        self._labels = labels
        self._readers = {name for name in axes if not name.endswith("]")}
        while True:
            self.channels = _grouped(labels, origins)
            self.blocks = [1] * len(self.channels)
            self._unit = np.full(labels.count, FIXED)
            self._channel = np.zeros(labels.count, dtype=np.int64)
            for unit, roots in enumerate(self.channels):
                self._unit[roots], self._channel[roots] = unit, np.arange(len(roots))
            if not (self._cut(labels.equal) or self._uneven(axes)):
                return

    def axis(self, dimension: Dimension, size: int | None = None) -> Axis:
        """Return the unit and channel of each position of a dimension."""
        if dimension is None:
            return Axis.fixed(size or 0)
        roots = self._labels.roots(dimension)
        return Axis(self._unit[roots], self._channel[roots])

    def _fix(self, unit: int, reason: str) -> bool:
        self._labels.fix(self.channels[unit], reason)
        return True

    def _cut(self, equal: Iterable[EqualParts]) -> bool:
        """Divide units into blocks that keep equally many channels; fix those where that fails.

        Returns:
            Whether a unit was fixed, after which all units have to be found again.
        """
        for each in equal:
            axes = [self.axis(part) for part in each.parts]
            units = {unit for axis in axes for unit in axis.units}
            held = {unit for axis in axes for unit in np.unique(axis.unit).tolist()}
            if not units:
                continue
            blocks = _blocks(axes, len(self.channels[min(units)])) if len(held) == 1 else None
            if blocks is None:
                for unit in units:
                    self._fix(unit, f"{each.reason}, in parts that hold different channels")
                return True
            (unit,) = units
            self.blocks[unit] = lcm(self.blocks[unit], blocks)
            channels = len(self.channels[unit])
            if self.blocks[unit] >= channels or channels % self.blocks[unit]:
                return self._fix(unit, f"{each.reason}: parts of {channels} channels")
        return False

    def _uneven(self, axes: Mapping[str, np.ndarray]) -> bool:
        """Fix a unit whose channels are unevenly distributed on an axis; return whether one was."""
        for name, dimension in axes.items():
            axis = self.axis(dimension)
            for unit in axis.units:
                channels = len(self.channels[unit])
                repeats = np.bincount(axis.channel[axis.unit == unit], minlength=channels)
                blocks = repeats.reshape(self.blocks[unit], -1)
                # A layer may read some blocks, all equally often; parameters may hold them in any
                # way.
                there = np.unique(repeats[repeats > 0])
                if (blocks != blocks[:, :1]).any() or (name in self._readers and len(there) > 1):
                    return self._fix(unit, f"{name!r} has some of its channels more often")
        return False


def _blocks(axes: Sequence[Axis], channels: int) -> int | None:
    """Return how many equal blocks the parts divide a unit into; ``None`` if they do not."""
    size = None
    for axis in axes:
        found = np.unique(axis.channel)
        size = size or len(found)
        aligned = found[0] % size == 0 and found[-1] - found[0] == size - 1
        if len(found) != size or not aligned or channels % size:
            return None
    return None if size is None else channels // size


def _grouped(labels: Labels, origins: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the roots of the classes of each unit without fixed classes."""
    leader: dict[int, int] = {}

    def find(root: int) -> int:
        while leader[root] != root:
            leader[root] = root = leader[leader[root]]
        return root

    everything: dict[int, None] = {}  # in the order of the first producer
    for origin in origins:
        roots = labels.roots(origin).tolist()
        if len(origin) > 1 and len({*roots}) == 1:
            labels.fix(origin, "all its channels belong together")
        for root in roots:
            leader.setdefault(root, root)
            everything.setdefault(root)
        for root in roots[1:]:
            leader[find(root)] = find(roots[0])
    groups: dict[int, list[int]] = {}
    for root in everything:
        groups.setdefault(find(root), []).append(root)
    units = []
    for members in groups.values():
        roots = np.array(members)
        free = labels.free(roots)
        if len(free) > 1:
            units.append(free)
    return units
