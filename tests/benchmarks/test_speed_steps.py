"""Times of networks whose widths are on and between a runtime's steps."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks.speed.steps import Options, main


def test_networks_on_and_between_steps_are_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(
        Options(
            dataset="digits", block=8, shares=(0.5, 1.0), rounds=3, noisiest=math.inf, out=tmp_path
        )
    )
    assert "4 fewer in every unit" in capsys.readouterr().out
    document = json.loads((tmp_path / "steps.json").read_text())
    assert set(document["rounds"]) == {f"{s} {o}" for s in (0.5, 1.0) for o in ("-4", "+0", "+4")}
    assert all(len(r) == 3 and min(r) > 1000 for r in document["rounds"].values())
    assert "| 50% |" in (tmp_path / "steps.md").read_text()
