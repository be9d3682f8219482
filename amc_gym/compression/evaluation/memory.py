"""Memory of an evaluator: the plans that it was asked for last, and how many there were."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

R = TypeVar("R")

PLANS = 16_384
"""Plans that are remembered: 40 MB of a network with 60 units, at some 2.5 KB each.

The paper's search has 800 episodes, and searchers return to plans of late: what they come back to
after so many others is evaluated again, to the same result.
"""


class Memory(Generic[R]):
    """Results by channel counts, those used least recently forgotten first.

    Args:
        most: how many results are kept.
    """

    def __init__(self, most: int = PLANS) -> None:
        self._most = most
        self._results: OrderedDict[tuple[int, ...], R] = OrderedDict()
        # Hashes of 64 bits, some 70 bytes in all for a plan: a million of them take 70 MB, and two
        # plans of theirs are taken for one with a probability of 3e-8.
        self._seen: set[int] = set()

    def __reduce__(self) -> tuple[type[Memory[R]], tuple[int]]:
        return Memory, (self._most,)  # copies in other processes start with nothing

    def __len__(self) -> int:
        return len(self._results)

    def get(self, counts: tuple[int, ...]) -> R | None:
        """Return the result of a plan; None if it was not asked for yet, or too long ago."""
        result = self._results.get(counts)
        if result is not None:
            self._results.move_to_end(counts)
        return result

    def put(self, counts: tuple[int, ...], result: R) -> None:
        """Remember a result, and forget the one used least recently if there are too many."""
        self._seen.add(hash(counts))
        self._results[counts] = result
        self._results.move_to_end(counts)
        while len(self._results) > self._most:
            self._results.popitem(last=False)

    def forget(self) -> None:
        """Forget every plan, and that there were any."""
        self._results.clear()
        self._seen.clear()

    @property
    def distinct(self) -> int:
        """How many distinct plans there were, those included whose results are forgotten."""
        return len(self._seen)
