"""Memory of an evaluator: the results of its latest plans, and the number of distinct plans."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

R = TypeVar("R")

PLANS = 16_384
"""Number of remembered plans: 40 MB for a network with 60 units, at about 2.5 KB each.

The paper's search has 800 episodes, and searchers return to recent plans; an older plan is
evaluated again, to the same result.
"""


class Memory(Generic[R]):
    """A cache of results by channel counts, in which the least recently used are dropped first.

    Args:
        most: how many results are kept.
    """

    def __init__(self, most: int = PLANS) -> None:
        self._most = most
        self._results: OrderedDict[tuple[int, ...], R] = OrderedDict()
        # Hashes of 64 bits, about 70 bytes each with overhead: a million plans take 70 MB, and the
        # probability that two of them are taken for the same is 3e-8.
        self._seen: set[int] = set()

    def __reduce__(self) -> tuple[type[Memory[R]], tuple[int]]:
        return Memory, (self._most,)  # copies in other processes start empty

    def __len__(self) -> int:
        return len(self._results)

    def get(self, counts: tuple[int, ...]) -> R | None:
        """Return the result of a plan; None if it is not remembered."""
        result = self._results.get(counts)
        if result is not None:
            self._results.move_to_end(counts)
        return result

    def put(self, counts: tuple[int, ...], result: R) -> None:
        """Remember a result, and drop the least recently used one if there are too many."""
        self._seen.add(hash(counts))
        self._results[counts] = result
        self._results.move_to_end(counts)
        while len(self._results) > self._most:
            self._results.popitem(last=False)

    def forget(self) -> None:
        """Forget every plan, and reset the number of distinct plans."""
        self._results.clear()
        self._seen.clear()

    @property
    def distinct(self) -> int:
        """Number of distinct plans, including those whose results are dropped."""
        return len(self._seen)
