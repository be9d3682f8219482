"""A few kills of a study; ``python -m tests.kills study`` has as many as one likes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.kills.harness import kill_repeatedly
from tests.kills.study import Study, environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def test_a_killed_study_loses_doubles_and_leaves_nothing(tmp_path: Path) -> None:
    study = Study(tmp_path, seeds=1, episodes=20)
    summary = kill_repeatedly(study, 3, span=(2, 8), environment=environment())
    assert not summary.problems, str(summary)
    assert summary.kills == 3
    assert summary.finished >= 1
