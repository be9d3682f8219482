"""Growth of an episode's time: its parts, the table and the figure."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.speed import growth
from benchmarks.speed.growth_figure import PARTS


def test_parts_add_up_and_every_plan_counts() -> None:
    for _ in range(2):  # the second time, no plan of the first is remembered
        point = growth.measure("environments", 2, n=3)
    assert point.plans == 4  # a multiple of the two environments
    assert point.forward > 0
    assert point.build > 0
    assert 0 < point.steps < point.episode
    assert point.episode > 0.5 * point.forward


def test_table_and_picture_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(growth, "AXES", {"environments": ("MobileNet digits", (1, 2))})
    growth.main(tmp_path, n=1)
    rows = list(csv.DictReader((tmp_path / "growth.csv").read_text().splitlines()))
    assert [row["x"] for row in rows] == ["1", "2"]
    page = (tmp_path / "growth.md").read_text()
    assert all(title in page for title in PARTS.values())
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_a_number_of_plans_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="at least 1"):
        growth.main(tmp_path, n=0)
