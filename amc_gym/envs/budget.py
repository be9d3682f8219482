"""Algorithm 1 in exact integer arithmetic: how much a unit may keep within the budget.

The paper prints it for weight pruning, where a layer's cost depends on its own ratio only.  With
channels a layer costs inputs x outputs, so that the bound is on the whole network instead; the
printed algorithm is the linear special case:

    A_u     admissible counts of unit u: multiples of its step, at least ceil((1 - a_max) C_u),
            and always C_u itself
    f_t(k)  cost of the network with the earlier units as executed, unit t at k, the later units at
            min A; it does not decrease in k
    cap_t   the largest k in A_t with f_t(k) <= floor(preserve_ratio * full cost)

If cap_0 exists, all later caps exist: a unit at its cap leaves the later ones their minima.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import ceil, floor

from amc_gym._utils.arguments import real

TotalCost = Callable[[Sequence[int]], int]

LEAST_SHARE = 1e-3
"""Smallest share of a unit when shares are scaled."""

HALVINGS = 30
"""Steps of the search for the largest multiple of shares that fits."""


def exact(ratio: float) -> Fraction:
    """Return the decimal that the user wrote, not the binary number nearest to it: 0.2 is 1/5."""
    return Fraction(repr(float(ratio)))


def admissible(channels: int, max_sparsity: float, step: int) -> Sequence[int]:
    """Return the channel counts that a unit may keep, in ascending order.

    Args:
        channels: the unit's full count C.
        max_sparsity: a_max in [0, 1).
        step: counts are multiples of this; C itself is always admissible.
    """
    least = max(1, ceil((1 - exact(max_sparsity)) * channels))
    multiples = range(-(-least // step) * step, channels + 1, step)
    # A layer may have millions of weights: return the range itself if it ends with all of them.
    return multiples if channels in multiples else (*multiples, channels)


def share_to_keep(preserve_ratio: object) -> float | None:
    """Return the option ``preserve_ratio`` as a plain number; None means no bound.

    Raises:
        TypeError: it is not a number.
        ValueError: it is not in (0, 1].
    """
    if preserve_ratio is None:
        return None
    bound = " or None for no bound"
    return real("preserve_ratio", preserve_ratio, above=0, at_most=1, otherwise=bound)


class Budget:
    """The admissible counts of each unit, and the largest count within the budget.

    Args:
        cost: cost of the whole network for given channel counts, an integer that never decreases
            when a count grows.
        channels: full count of each unit.
        preserve_ratio: share of the full cost to keep, in (0, 1]; ``None`` for no bound.
        max_sparsity: a_max of each unit.
        steps: of each unit, whose counts are multiples of this.

    Raises:
        ValueError: a ratio is outside (0, 1], or the smallest admissible network exceeds the
            budget.
    """

    def __init__(
        self,
        cost: TotalCost,
        channels: Sequence[int],
        *,
        preserve_ratio: float | None,
        max_sparsity: Sequence[float],
        steps: Sequence[int],
    ) -> None:
        preserve_ratio = share_to_keep(preserve_ratio)
        self._cost = cost
        self.channels = tuple(channels)
        self.admissible = tuple(
            admissible(c, a, s) for c, a, s in zip(channels, max_sparsity, steps, strict=True)
        )
        self._least = tuple(counts[0] for counts in self.admissible)
        self.limit: int | None = None
        """Largest cost of a finished plan; ``None``: no limit."""
        if preserve_ratio is None:
            return
        full, smallest = cost(self.channels), cost(self._least)
        self.limit = floor(exact(preserve_ratio) * full)
        if smallest > self.limit:
            raise ValueError(
                f"preserve_ratio={preserve_ratio} is infeasible: the smallest admissible network "
                f"keeps {smallest} of {full}, so the smallest feasible ratio is "
                f"{smallest_ratio(smallest, full)}; raise preserve_ratio or max_sparsity, or lower "
                "channel_multiple"
            )

    def fits(self, executed: Sequence[int], count: int) -> bool:
        """Return whether unit t may keep ``count``, that is, f_t(count) is within the limit."""
        return self.admits([*executed, count, *self._least[len(executed) + 1 :]])

    def admits(self, counts: Sequence[int]) -> bool:
        """Return whether the finished plan of these counts is within the limit."""
        return self.limit is None or self._cost(counts) <= self.limit

    def check(self, counts: Sequence[int]) -> None:
        """Refuse a finished plan that is not admissible or exceeds the budget.

        Raises:
            ValueError: there is not one admissible count for each unit, or they exceed the limit.
        """
        if len(counts) != len(self.channels):
            raise ValueError(
                f"counts must be {len(self.channels)}, one for each unit, not {len(counts)}"
            )
        for unit, (count, choices) in enumerate(zip(counts, self.admissible, strict=True)):
            if count not in choices:
                raise ValueError(
                    f"unit {unit} cannot keep {count}: max_sparsity and channel_multiple admit "
                    f"{_listed(choices)}"
                )
        if not self.admits(counts):
            raise ValueError(
                f"the counts cost {self._cost(counts)}, which exceeds the budget of {self.limit}: "
                "budget.scaled(...) returns counts within it"
            )

    def scaled(self, shares: Iterable[float]) -> tuple[int, ...]:
        """Return counts nearest to ``shares`` times the largest factor that fits the budget.

        So a vector of any length gives a plan that uses up the budget.  Without a budget the factor
        is 1.

        Args:
            shares: of each unit's channels; smaller ones are raised to ``LEAST_SHARE``.
        """
        at_least = [max(float(share), LEAST_SHARE) for share in shares]
        if self.limit is None:
            return self._nearest(at_least, 1.0)
        low, high = 0.0, 1 / min(at_least)  # the smallest network, the full network
        if self.admits(self._nearest(at_least, high)):
            return self._nearest(at_least, high)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            if self.admits(self._nearest(at_least, middle)):
                low = middle
            else:
                high = middle
        return self._nearest(at_least, low)

    def _nearest(self, shares: Sequence[float], times: float) -> tuple[int, ...]:
        wanted = (times * s * c for s, c in zip(shares, self.channels, strict=True))
        return tuple(map(nearest, self.admissible, wanted))

    def cap(self, executed: Sequence[int]) -> int:
        """Return cap_t, where ``executed`` holds the counts of the units before t.

        Raises:
            ValueError: those counts leave too little for the later units.
        """
        choices = self.admissible[len(executed)]
        if self.limit is None:
            return choices[-1]
        over = bisect_left(choices, True, key=lambda count: not self.fits(executed, count))
        if over == 0:
            raise ValueError(f"the counts {list(executed)} already exceed the budget: keep less")
        return choices[over - 1]

    def wanted(self, t: int, sparsity: float) -> int:
        """Return the admissible count of unit t nearest to (1 - sparsity) C_t, for any budget."""
        return nearest(self.admissible[t], self.channels[t] * (1 - sparsity))

    def between(self, t: int, cap: int, action: float) -> int:
        """Return the count of unit t where actions 0..1 run linearly from ``cap`` to min A_t."""
        choices = self.admissible[t]
        allowed = choices[: bisect_right(choices, cap)]
        return nearest(allowed, cap - action * (cap - choices[0]))

    def clamp(self, executed: Sequence[int], sparsity: float) -> int:
        """Return the admissible count nearest to (1 - sparsity) C_t for unit t, at most cap_t."""
        wanted = self.wanted(len(executed), sparsity)
        return wanted if self.fits(executed, wanted) else self.cap(executed)

    def feasible(self, executed: Sequence[int], action: float) -> int:
        """Return the count of unit t where actions 0..1 run linearly from cap_t down to min A_t."""
        return self.between(len(executed), self.cap(executed), action)


def nearest(ascending: Sequence[int], value: float) -> int:
    """Return the element nearest to ``value``; ties go to the larger."""
    right = bisect_left(ascending, value)
    if right == 0:
        return ascending[0]
    if right == len(ascending):
        return ascending[-1]
    below, above = ascending[right - 1], ascending[right]
    return above if above - value <= value - below else below


def _listed(ascending: Sequence[int]) -> str:
    """Return the first few counts and the last, as text."""
    few = [str(count) for count in ascending[:3]]
    return ", ".join(few if len(ascending) < 4 else [*few, f"... {ascending[-1]}"])


def smallest_ratio(smallest: int, full: int) -> float:
    """Return the smallest ratio of four decimals whose budget admits the cost ``smallest``."""
    return ceil(Fraction(smallest, full) * 10_000) / 10_000
