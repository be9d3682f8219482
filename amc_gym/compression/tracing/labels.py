"""Labels: which channel each position of a dimension holds, and which channels are coupled.

Every position of a parameter's dimension gets a label of its own when it is first seen.
Operations pass labels on, and unite those of positions that can only be pruned together.
Classes of united labels that must never be pruned are *fixed*, each with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Dimension = np.ndarray | None
"""Labels of a dimension's positions, (size,) int64; ``None`` if it holds no channels."""

Labelled = tuple[Dimension, ...]
"""Labels of a tensor: one entry for each of its dimensions."""


@dataclass(frozen=True)
class EqualParts:
    """Parts of a dimension that have to keep equally many positions.

    Attributes:
        parts: labels, (parts, size).
        reason: the reason, for messages.
    """

    parts: np.ndarray
    reason: str


ANY = 0
"""Label of a value that is repeated along a dimension: it follows any channel."""


class Labels:
    """Classes of labels (union-find).

    Attributes:
        equal: parts that have to keep equally many positions.
    """

    def __init__(self) -> None:
        self._size = 1  # label 0 is ANY
        self._parent = np.zeros(1024, dtype=np.int64)
        self._why = np.zeros(1024, dtype=np.int64)  # by a class's root: number of its reason, or 0
        self._reasons = [""]
        self.equal: list[EqualParts] = []

    @property
    def count(self) -> int:
        """Number of labels."""
        return self._size

    def new(self, n: int, reason: str | None = None) -> np.ndarray:
        """Return ``n`` new labels, (n,), united with nothing; fixed if a reason is given."""
        while self._size + n > len(self._parent):
            self._parent = np.concatenate([self._parent, np.zeros_like(self._parent)])
            self._why = np.concatenate([self._why, np.zeros_like(self._why)])
        made = np.arange(self._size, self._size + n)
        self._parent[made] = made
        self._size += n
        if reason is not None:
            self._why[made] = self._number(reason)
        return made

    def roots(self, labels: np.ndarray) -> np.ndarray:
        """Return the representative of each label's class, of the same shape."""
        roots = self._parent[labels]
        while not np.array_equal(above := self._parent[roots], roots):
            roots = above
        self._parent[labels] = roots
        return roots

    def unite(self, one: np.ndarray, other: np.ndarray) -> None:
        """Unite the classes of two arrays' labels, position by position."""
        while True:
            a, b = self.roots(one), self.roots(other)
            differ = (a != b) & (a != ANY) & (b != ANY)
            if not differ.any():
                return
            low, high = np.minimum(a, b)[differ], np.maximum(a, b)[differ]
            # A class that is fixed on either side becomes fixed, with the earlier reason (the lower
            # number other than 0).  If a root would get several parents it gets one of them, and
            # the rest follows in the next round.
            self._parent[high] = low
            moved = np.flatnonzero(self._why[high])
            for root, why in zip(self.roots(low)[moved], self._why[high][moved], strict=True):
                if not self._why[root] or why < self._why[root]:
                    self._why[root] = why

    def fix(self, labels: Dimension, reason: str) -> None:
        """Fix the classes of these labels, which are then never pruned; the first reason stays."""
        if labels is None:
            return
        roots = self.roots(labels)
        roots = roots[(self._why[roots] == 0) & (roots != ANY)]
        if len(roots):
            self._why[roots] = self._number(reason)

    def why(self, labels: np.ndarray) -> str | None:
        """Return the earliest reason why any of these labels is fixed; ``None`` if none is."""
        numbers = self._why[self.roots(labels)]
        numbers = numbers[numbers > 0]
        return self._reasons[int(numbers.min())] if len(numbers) else None

    def free(self, labels: np.ndarray) -> np.ndarray:
        """Return those of some labels that are not fixed."""
        return labels[self._why[self.roots(labels)] == 0]

    def all_fixed(self, labels: Dimension) -> bool:
        """Return whether all of these labels are fixed."""
        if labels is None:
            return True
        roots = self.roots(labels)
        return bool(((self._why[roots] > 0) | (roots == ANY)).all())

    def keep_equal(self, parts: np.ndarray, reason: str) -> None:
        """Demand that all parts, (parts, size), keep equally many positions."""
        if len(parts) > 1:
            self.equal.append(EqualParts(parts, reason))

    def _number(self, reason: str) -> int:
        if reason not in self._reasons:
            self._reasons.append(reason)
        return self._reasons.index(reason)
