"""Baselines of the speed benchmarks: the figures that are kept, and reports of changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.speed import tables
from benchmarks.speed.baselines import NOISE, PATH, Baselines, comparison, mark, read, update

HERE = {"cpu": "one", "cores": 2}


def test_a_change_is_marked_beyond_the_noise_in_both_directions() -> None:
    assert mark(1.0, None) == "new"
    assert mark(1 + 0.9 * NOISE, 1.0) == "same"
    assert mark(1 + 1.1 * NOISE, 1.0) == "worse"
    assert mark(1 / (1 + 0.9 * NOISE), 1.0) == "same"
    assert mark(1 / (1 + 1.1 * NOISE), 1.0) == "better"


def test_figures_not_measured_stay_on_the_same_machine_only(tmp_path: Path) -> None:
    path = tmp_path / "baselines.json"
    update(Baselines(HERE, {}, {"a": 1.0, "b": 2.0}), path)
    update(Baselines(HERE, {}, {"b": 3.0}), path)
    assert read(path).figures == {"a": 1.0, "b": 3.0}
    update(Baselines({"cpu": "another", "cores": 2}, {}, {"b": 4.0}), path)
    assert read(path) == Baselines({"cpu": "another", "cores": 2}, {}, {"b": 4.0})


def test_without_a_file_every_figure_is_new(tmp_path: Path) -> None:
    baselines = read(tmp_path / "none.json")
    assert not baselines.figures
    assert comparison({"a": 1.0}, baselines).row_count == 1


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "baselines.json"
    for content in ("{", '{"figure": {}}'):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"baselines\.json does not hold baselines"):
            read(path)


def test_times_are_kept_as_multiples_of_the_yardstick_and_the_rest_as_it_is() -> None:
    row = {"construction_s": 3.0, "build_ms": 5.0, "memory_MB": 70.0, tables.YARDSTICK: 0.002}
    assert dict(tables.kept(tables.FORWARD, {"net": row | {"units": 4}})) == {
        "net: construction": 1500.0,
        "net: build with re-fit": pytest.approx(2.5),
        "net: peak memory of construction, MB": 70.0,
    }


def test_figures_that_a_row_lacks_are_not_kept() -> None:
    kept = dict(tables.kept(tables.LIMIT, {"net": {"episode": 0.5, "own": None}}))
    assert kept == {"net: episode / bare": 0.5}


def test_committed_baselines_say_what_they_were_taken_on() -> None:
    document = json.loads(PATH.read_text("utf-8"))
    assert {"cpu", "cores"} <= document["machine"].keys()
    assert "torch" in document["versions"]
    assert document["figures"]
    assert all(figure >= 0 for figure in document["figures"].values())
