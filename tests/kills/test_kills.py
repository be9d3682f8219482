"""A few kills of each command, and faulty commands that the harness has to report."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.kills.__main__ import SCENARIOS
from tests.kills.harness import Done, kill_repeatedly

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


# The study is killed alone and as a process group; the others have no workers.
@pytest.mark.parametrize(
    ("name", "kills"), [(name, 2 if name == "study" else 1) for name in SCENARIOS]
)
@pytest.mark.thorough
def test_nothing_is_lost_done_twice_or_left_over(name: str, kills: int, tmp_path: Path) -> None:
    kind = SCENARIOS[name]
    summary = kill_repeatedly(
        kind.make(tmp_path), kills, seed=5, environment=dict(kind.environment(tmp_path))
    )
    assert summary.kills == kills
    assert summary.problems == []


LEAVES_A_CHILD = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
time.sleep(60)
"""

LEAVES_A_FOLDER = "import tempfile; tempfile.mkdtemp()"


class Careless:
    """A scenario whose program leaves something behind."""

    def __init__(self, folder: Path, code: str) -> None:
        self.folder, self.code = folder, code

    def command(self) -> list[str]:
        code, self.code = self.code, ""  # the second run does nothing
        return [sys.executable, "-c", code]

    def killed(self) -> None:
        raise AssertionError("half a file")

    def finished(self, done: Done) -> None:
        assert done.returncode == 0


def test_surviving_children_are_reported(tmp_path: Path) -> None:
    summary = kill_repeatedly(Careless(tmp_path, LEAVES_A_CHILD), 1, span=(1, 1))
    assert summary.problems == ["kill 1: 1 processes outlive their parent by 2 s"]
    assert "outlive" in str(summary)


def test_broken_files_are_reported(tmp_path: Path) -> None:
    summary = kill_repeatedly(Careless(tmp_path, "import time; time.sleep(60)"), 1, span=(1, 1))
    assert summary.problems == ["kill 1: half a file"]


def test_remains_among_the_temporary_files_are_reported(tmp_path: Path) -> None:
    summary = kill_repeatedly(Careless(tmp_path, LEAVES_A_FOLDER), 0, span=(1, 1))
    (problem,) = summary.problems
    assert problem.startswith("after kill 0: left over among the temporary files: ['tmp")
