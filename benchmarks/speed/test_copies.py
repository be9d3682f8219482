"""Many copies of one environment: memory of 64 in one process, memory and start of workers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.speed import tables
from benchmarks.speed.conftest import Note, Row
from benchmarks.speed.copies import COPIES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


def figures(*arguments: str) -> dict[str, float]:
    """Run ``benchmarks.speed.copies``, and read its figures."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.speed.copies", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_copies_in_one_process(note: Note) -> None:
    one, many = figures("1"), figures(str(COPIES))
    # Below zero if the single process happened to return less of the memory that it freed.
    note(f"{COPIES} environments above one", max(0.0, many["private"] - one["private"]))


@pytest.mark.parametrize("network", ["digits", "imagenet"])
def test_workers(network: str, row: Row) -> None:
    """Measured above a worker that has imported as much and made nothing."""
    imports = figures("imports", network)
    for how, name in (("made", "each makes its own"), ("shared", "amc_gym.share")):
        found = figures(how, network)
        row(
            tables.COPIES,
            f"MobileNet ({network}), {name}",
            {
                "private": found["private"] - imports["private"],
                "share": found["share"] - imports["share"],
                "ms": 1e3 * found["seconds"],
            },
        )
