"""Load of a machine: other programs' work is told apart from this program's own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from amc_gym.compression.latency.load import OtherLoad
from amc_gym.compression.latency.timing import LatencyError

TICKS = os.sysconf("SC_CLK_TCK")


class Kernel:
    """A stand-in for the kernel's table of two cores' times, which tests advance."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.wall, self.own, self.busy = path, 100.0, 5.0, 50.0
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
        monkeypatch.setattr(time, "perf_counter", lambda: self.wall)
        monkeypatch.setattr(time, "process_time", lambda: self.own)
        self.passed()

    def passed(self, wall: float = 0.0, own: float = 0.0, others: float = 0.0) -> None:
        self.wall += wall
        self.own += own
        self.busy += own + others
        ticks = round(self.busy * TICKS)
        self.path.write_text(
            f"cpu  9 9 9 9 9 9 9 9 9 9\n"
            f"cpu0 {ticks} 0 0 {round(self.wall * TICKS)} 7 0 0 0 0 0\n"
            "cpu1 0 0 0 1 1 0 0 0 0 0\n"
            "cpu2 99999999 0 0 1 1 0 0 0 0 0\n"  # not ours
            "intr 1 2 3\n"
        )


def test_own_work_is_no_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(tmp_path / "stat", monkeypatch)
    load = OtherLoad(kernel.path)
    kernel.passed(wall=10, own=10)
    assert load.share == pytest.approx(0, abs=0.01)
    load.refuse()


def test_a_program_on_the_other_core_is_refused(tmp_path: Path, monkeypatch) -> None:
    kernel = Kernel(tmp_path / "stat", monkeypatch)
    load = OtherLoad(kernel.path)
    kernel.passed(wall=10, own=10, others=9)
    assert load.share == pytest.approx(0.45, abs=0.01)
    with pytest.raises(LatencyError, match=r"other programs took 45% .* 10% is allowed.*busiest"):
        load.refuse()
    load.refuse(busiest=0.5)


def test_a_system_that_does_not_say_refuses_nothing(tmp_path: Path) -> None:
    load = OtherLoad(tmp_path / "missing")
    assert load.share is None
    load.refuse(busiest=0.0)


def test_the_kernels_own_table_is_read() -> None:
    load = OtherLoad()
    began = time.perf_counter()
    while time.perf_counter() - began < 0.05:
        pass
    assert load.share is None or 0 <= load.share <= 1
