"""Load of the machine by other programs during a measurement.

The figures of one pass may agree with each other and still be wrong: a program on the next core
takes shared cache and memory, and slows a large network more than a small one.  (Measured:
MobileNet at 224 x 224 over its compressed form is 1.82 on two idle cores and 1.54 beside other
programs, with equally narrow quartiles.)
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from amc_gym.compression.latency.timing import LatencyError

BUSIEST = 0.1
"""Largest share of the cores that other programs may take while a ratio is measured."""

STAT = Path("/proc/stat")

IDLE = (3, 4)
"""Fields of a core's line without work: idle, and waiting for a disk."""

COUNTED = 8
"""Fields that add up to all of a core's time, including other virtual machines."""


class OtherLoad:
    """The share of the cores that other programs take, from the creation of this object on.

    Create it before threads are pinned, so that programs on the other cores count, too.

    Args:
        stat: the kernel's file with the cores' times.
    """

    def __init__(self, stat: Path = STAT) -> None:
        self._stat = stat
        self._cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        self._began, self._own, self._busy = self._now()

    @property
    def share(self) -> float | None:
        """Return the share of this program's cores that others took, in [0, 1]; None if unknown."""
        began, own, busy = self._now()
        if busy is None or self._busy is None:
            return None
        others = (busy - self._busy) - (own - self._own)
        return min(1.0, max(0.0, others / ((began - self._began) * len(self._cores))))

    def refuse(self, busiest: float = BUSIEST) -> None:
        """Refuse a measurement during which other programs were busy.

        Args:
            busiest: largest share of the cores that they may take, up to 1.

        Raises:
            LatencyError: they took more than that.
        """
        share = self.share
        if share is not None and share > busiest:
            raise LatencyError(
                f"other programs took {share:.0%} of the cores during the measurement, and "
                f"{busiest:.0%} is allowed, because they slow large networks more than small ones "
                "and distort every ratio; stop them, or raise busiest, up to 1, to measure "
                "nevertheless"
            )

    def _now(self) -> tuple[float, float, float | None]:
        """Return wall-clock time, this process's time, and all work on the cores, in seconds."""
        return time.perf_counter(), time.process_time(), self._working()

    def _working(self) -> float | None:
        try:
            lines = self._stat.read_text().splitlines()
        except OSError:  # not Linux
            return None
        ticks = 0
        for name, *fields in map(str.split, lines):
            if name.startswith("cpu") and name[3:].isdecimal() and int(name[3:]) in self._cores:
                spent = [int(field) for field in fields[:COUNTED]]
                ticks += sum(spent) - sum(spent[i] for i in IDLE)
        return ticks / os.sysconf("SC_CLK_TCK") if self._cores else None
