"""Latency tables: monotone, complete, and refused for another device or network."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amc_gym.compression.latency.layers import Geometry
from amc_gym.compression.latency.table import Device, Grid, LatencyTable
from amc_gym.compression.latency.timing import LatencyError

DEVICE = Device("Some processor", "torch", "2.9", 1, 1)
CONV = Geometry("conv", (3, 3), (1, 1), (1, 1), 8, 8, 1, norm=True)
TABLE = LatencyTable(
    DEVICE, {CONV.key: Grid((4, 8), (2, 6), ((10, 20), (15, 40)))}, overhead=7, portable=False
)


def test_measured_times_are_made_monotone_by_least_squares() -> None:
    rng = np.random.default_rng(0)
    noisy = np.outer(np.arange(1, 7), np.arange(1, 6)) * 100 + rng.normal(0, 150, (6, 5))
    grid = Grid.of(tuple(range(6)), tuple(range(5)), noisy)
    ns = np.array(grid.ns)
    assert (np.diff(ns, axis=0) >= 0).all()
    assert (np.diff(ns, axis=1) >= 0).all()
    assert abs(ns.mean() - noisy.mean()) < 1  # least squares keep the mean, a maximum would not
    ordered = np.sort(np.sort(noisy, axis=0), axis=1)
    np.testing.assert_allclose(Grid.of(grid.inputs, grid.outputs, ordered).ns, ordered, atol=0.5)


def test_a_saved_table_is_the_same(tmp_path: Path) -> None:
    path = TABLE.save(tmp_path / "deep" / "table.json")
    assert LatencyTable.load(path, "Some processor") == TABLE
    assert [file.name for file in path.parent.iterdir()] == ["table.json"]


def test_how_many_channels_are_computed_at_once_is_saved(tmp_path: Path) -> None:
    blocks = replace(TABLE, block=16)
    assert LatencyTable.load(blocks.save(tmp_path / "table.json")).block == 16
    # Tables without blocks are written as in versions that had none.
    content = json.loads(TABLE.save(tmp_path / "old.json").read_text())
    assert "block" not in content
    for block in (0, -8, 1.5, "16"):
        path = replace(TABLE, block=block).save(tmp_path / "broken.json")
        with pytest.raises(LatencyError, match="its block should be"):
            LatencyTable.load(path)


def test_another_devices_table_is_refused_unless_it_was_written_to_be_shared(
    tmp_path: Path,
) -> None:
    path = TABLE.save(tmp_path / "table.json")
    with pytest.raises(LatencyError, match="was measured on 'Some processor', and this is 'Mine'"):
        LatencyTable.load(path, "Mine")
    assert LatencyTable.load(path) == TABLE
    shared = replace(TABLE, portable=True).save(tmp_path / "shared.json")
    assert LatencyTable.load(shared, "Mine").device == DEVICE


def test_another_networks_table_is_refused() -> None:
    TABLE.check({"a": CONV}, {"a": (8, 6)})
    other = replace(CONV, height=16)
    with pytest.raises(LatencyError, match=r"no times for layer 'b', conv 3x3 .* on 16x8"):
        TABLE.check({"a": CONV, "b": other}, {"a": (8, 6), "b": (8, 6)})
    for inputs, outputs in ((9, 6), (8, 7)):
        with pytest.raises(LatencyError, match="of a narrower network"):
            TABLE.check({"a": CONV}, {"a": (inputs, outputs)})


def changed(path: Path, **fields: object) -> Path:
    content = json.loads(path.read_text()) | fields
    path.write_text(json.dumps(content))
    return path


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    for text in ("", "[]", "{}", '{"format": "amc-gym latency 1"}'):
        path.write_text(text)
        with pytest.raises(LatencyError, match="table"):
            LatencyTable.load(path)
    TABLE.save(path)
    with pytest.raises(LatencyError, match="changed since it was written"):
        LatencyTable.load(changed(path, overhead=1))
    TABLE.save(path)
    with pytest.raises(LatencyError, match="format"):
        LatencyTable.load(changed(path, format="amc-gym latency 0"))
    with pytest.raises(FileNotFoundError):
        LatencyTable.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        (((0, 20), (15, 40)), "zero"),
        (((-3, 20), (15, 40)), "zero"),
        (((10, 20), (15, 4 * 3600 * 10**9)), "hours"),
        (((10, 20), (15, 19)), "fall"),
        (((10, 20, 30), (15, 40, 50)), "no times for its channels"),
    ],
)
def test_impossible_times_are_refused(tmp_path: Path, ns: tuple, said: str) -> None:
    broken = replace(TABLE, grids={CONV.key: replace(TABLE.grids[CONV.key], ns=ns)})
    path = broken.save(tmp_path / "table.json")
    with pytest.raises(LatencyError, match=said):
        LatencyTable.load(path)


def test_the_fingerprint_is_that_of_device_and_times() -> None:
    others = [
        TABLE,
        replace(TABLE, overhead=8),
        replace(TABLE, device=replace(DEVICE, threads=2)),
        replace(TABLE, block=16),
    ]
    for one, other in itertools.combinations(others, 2):
        assert one.fingerprint != other.fingerprint
    assert replace(TABLE, portable=True).fingerprint == TABLE.fingerprint
