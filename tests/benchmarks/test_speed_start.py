"""Commands that time the start of a program, and a long search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.speed import gaussian_process, start


def test_programs_are_timed_beside_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_ins = {start.TORCH: ("-c", "import json"), "nothing": ("-c", "pass")}
    monkeypatch.setattr(start, "PROGRAMS", stand_ins)
    start.main(start.Options(rounds=2, out=tmp_path))
    figures = json.loads((tmp_path / "start.json").read_text())
    assert all(min(figures["elapsed"][name]) > 0 for name in stand_ins)
    assert "| nothing |" in (tmp_path / "start.md").read_text()


def test_both_samplers_search_the_same_seeds(tmp_path: Path) -> None:
    options = gaussian_process.Options(evaluations=12, seeds=1, out=tmp_path)
    gaussian_process.main(options)
    runs = json.loads((tmp_path / "gaussian-process.json").read_text())["runs"]
    # The samplers differ only from the 100th evaluation on.
    assert runs["gp"][0]["rewards"] == runs["Optuna's throughout"][0]["rewards"]
    assert all(run[0]["seconds"] == sorted(run[0]["seconds"]) for run in runs.values())
    assert (tmp_path / "gaussian-process.md").read_text().count("| 12 |") == 2
