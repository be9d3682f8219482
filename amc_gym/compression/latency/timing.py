"""Timing of passes on a machine that also does other things.

All passes are timed in turns, round after round, so that a slow minute of the machine slows all of
them equally.  Tables are made of lower quartiles, because other programs only ever add time; users
see the median and its spread.  Times of a broken clock are refused, and so is a machine too noisy
to compare anything on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from amc_gym.compression.latency.runtimes import Pass

ROUNDS = 15
LEAST_NS = 1_000_000
"""A figure covers as many passes as take this long, because clocks and calls take a microsecond."""

LONGEST_NS = 3_600 * 10**9
"""Longest plausible pass of a network: one hour."""

NOISIEST = 0.5
"""Spread of the typical pass above which a machine is too noisy."""

Clock = Callable[[], int]
"""Function that returns nanoseconds."""


class LatencyError(ValueError):
    """Raised for times that cannot be measured, and for tables that do not belong here."""


@dataclass(frozen=True)
class Timing:
    """Times of one pass, in nanoseconds.

    Attributes:
        rounds: one figure for each round, (rounds,).
    """

    rounds: np.ndarray

    @property
    def median(self) -> float:
        """Median of the rounds."""
        return float(np.median(self.rounds))

    @property
    def quiet(self) -> float:
        """The lower quartile, which other programs disturb least, as they only ever add time."""
        return self.quartiles[0]

    @property
    def quartiles(self) -> tuple[float, float]:
        """Quartiles of the rounds."""
        low, high = np.quantile(self.rounds, (0.25, 0.75))
        return float(low), float(high)

    @property
    def spread(self) -> float:
        """Difference of the quartiles, as a share of the median."""
        low, high = self.quartiles
        return (high - low) / self.median

    def ratio(self, other: Timing) -> tuple[float, float, float]:
        """Return these times over the others, round by round: median and quartiles.

        Comparing round by round cancels what slows the machine for a while.
        """
        low, middle, high = np.quantile(self.rounds / other.rounds, (0.25, 0.5, 0.75))
        return float(middle), float(low), float(high)


def measure(
    passes: Mapping[Any, Pass],
    *,
    rounds: int = ROUNDS,
    noisiest: float = NOISIEST,
    clock: Clock = time.perf_counter_ns,
    on_round: Callable[[int], None] | None = None,
) -> dict[Any, Timing]:
    """Time passes in turns.

    Args:
        passes: name -> pass.
        rounds: number of timings of each, at least 3.
        noisiest: largest accepted spread of the typical pass.
        clock: returns nanoseconds that never run backwards.
        on_round: called with the number of finished rounds.

    Returns:
        The same names -> times.

    Raises:
        LatencyError: the clock returns zero, negative times or hours, or the machine is too noisy.
        ValueError: ``rounds`` is below 3.
    """
    if rounds < 3:
        raise ValueError(f"rounds must be at least 3, not {rounds}")
    loops = {name: _loops(run, clock) for name, run in passes.items()}
    figures: dict[Any, list[float]] = {name: [] for name in passes}
    for number in range(rounds):
        for name, run in passes.items():
            run()  # refills the cache, which other passes have used: a network in use is warm
            figures[name].append(_timed(run, loops[name], clock) / loops[name])
        if on_round is not None:
            on_round(number + 1)
    timings = {name: Timing(np.array(values)) for name, values in figures.items()}
    typical = float(np.median([timing.spread for timing in timings.values()]))
    if typical > noisiest:
        raise LatencyError(
            f"this machine is too noisy to measure: the middle half of {rounds} figures of the "
            f"same pass spreads over {typical:.0%} of their median, and {noisiest:.0%} is allowed; "
            "stop what else is running, or raise the number of rounds"
        )
    return timings


def _loops(run: Pass, clock: Clock) -> int:
    """Return how many passes a figure covers, after running as many to warm up."""
    run()
    run()
    once = min(_timed(run, 1, clock) for _ in range(3))
    return max(1, math.ceil(LEAST_NS / once))


def _timed(run: Pass, loops: int, clock: Clock) -> int:
    began = clock()
    for _ in range(loops):
        run()
    took = clock() - began
    if not 0 < took < LONGEST_NS * loops:
        raise LatencyError(
            f"the clock says that {loops} pass{'es'[: 2 * (loops > 1)]} took {took} ns: nothing of "
            "this measurement is kept, so measure again"
        )
    return took
