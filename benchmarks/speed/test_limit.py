"""Cost of an episode beyond one bare forward pass of its slim network.

The target is at most 1.1 such passes for an episode, or 1.3 where one takes less than 50 ms.  Every
plan is new, and each is played once.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.machine import cores
from benchmarks.speed import limit, tables
from benchmarks.speed.cases import CASES
from benchmarks.speed.conftest import Row

SECONDS = 12.0
"""Time for the plans of one case on one thread; half of it with threads, by wall clock."""


@pytest.mark.parametrize("case", CASES)
def test_limit(case: str, row: Row) -> None:
    """On one thread, by CPU time; and on all cores, by wall clock."""
    for threads in sorted({1, cores()}):
        figures = limit.in_fresh_process(case, threads, SECONDS if threads == 1 else SECONDS / 2)
        if "episode" in figures:
            most = limit.wanted(figures["bare_ms"])
            figures |= {"wanted": f"≤ {most:g}", "met": tables.yes(figures["episode"] <= most)}
        else:
            figures |= {"met": "cores busy"}
        row(tables.LIMIT, case if threads == 1 else f"{case}, all cores", figures)


def test_runtimes(row: Row) -> None:
    """torch.compile and ONNX Runtime on a few plans, and after how many passes they pay off."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.speed.runtimes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        figures = json.loads(line)
        row(tables.RUNTIMES, f"{figures['case']}, {figures['runtime']}", figures)
