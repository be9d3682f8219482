"""How much of the machine other programs take while something is measured.

Figures of one pass may agree with each other and still be wrong: another program on the next core
takes the cache and the memory that both share, from a large network more than from a small one.
(measured: MobileNet at 224 x 224 and its compressed form at 1.82 on two idle cores, at 1.54 beside
other programs, with quartiles as narrow.)
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from amc_gym.compression.latency.timing import LatencyError

BUSIEST = 0.1
"""Share of the cores that other programs may take while users are told a ratio."""

STAT = Path("/proc/stat")

IDLE = (3, 4)
"""Fields of a core's line that are no work: idle, and waiting for a disk."""

COUNTED = 8
"""Fields that add up to all of a core's time, that of other machines on it included."""


class OtherLoad:
    """Share of the cores that other programs take, from when it was made.

    Make it before threads are pinned: programs on the other cores count, too.

    Args:
        stat: the kernel's table of the cores' times.
    """

    def __init__(self, stat: Path = STAT) -> None:
        self._stat = stat
        self._cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        self._began, self._own, self._busy = self._now()

    @property
    def share(self) -> float | None:
        """Share of the cores that this program may use, in [0, 1]; None where nobody can say."""
        began, own, busy = self._now()
        if busy is None or self._busy is None:
            return None
        others = (busy - self._busy) - (own - self._own)
        return min(1.0, max(0.0, others / ((began - self._began) * len(self._cores))))

    def refuse(self, busiest: float = BUSIEST) -> None:
        """Refuse what was measured beside other programs.

        Args:
            busiest: share of the cores that they may take, up to 1.

        Raises:
            LatencyError: they took more than that.
        """
        share = self.share
        if share is not None and share > busiest:
            raise LatencyError(
                f"other programs took {share:.0%} of the cores while this was measured, and "
                f"{busiest:.0%} is allowed: they take cache and memory from large networks more "
                "than from small ones, so that no ratio is right; stop them, or raise busiest, up "
                "to 1, to measure all the same"
            )

    def _now(self) -> tuple[float, float, float | None]:
        """Wall-clock, time of this process, and of all work on the cores, in seconds."""
        return time.perf_counter(), time.process_time(), self._working()

    def _working(self) -> float | None:
        try:
            lines = self._stat.read_text().splitlines()
        except OSError:  # another system than Linux
            return None
        ticks = 0
        for name, *fields in map(str.split, lines):
            if name.startswith("cpu") and name[3:].isdecimal() and int(name[3:]) in self._cores:
                spent = [int(field) for field in fields[:COUNTED]]
                ticks += sum(spent) - sum(spent[i] for i in IDLE)
        return ticks / os.sysconf("SC_CLK_TCK") if self._cores else None
