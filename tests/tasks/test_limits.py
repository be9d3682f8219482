"""Limits of memory and disk: sizes beyond them are refused before anything is allocated."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest
from PIL import Image

from amc_gym._utils.machine import free_memory
from amc_gym.tasks import limits
from amc_gym.zoo.datasets import load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("train", "val"):
        for label in ("a", "b"):
            place = tmp_path / part / label
            place.mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (8, 8)).save(place / f"{number}.png")
    return tmp_path


def test_this_machine_has_memory():
    assert 2**20 < free_memory() < 2**50


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("digits?resolution=20000", "each image of 20000 x 20000 pixels would take 4.8 GB"),
        ("digits?resolution=999999999", "each image of 999999999 x"),
        ("digits?resolution=4096", r"digits of 4096 x 4096 pixels would take 361\.8 GB.*smaller"),
        ("folder?size=20000", "each image of 20000 x 20000 pixels"),
        ("folder?size=64&resize=20000", "resize must be at most 4096"),
        ("folder?size=10000000000000000000000", "must have at most 9 digits"),
        ("folder?size=64&size=32", "size of folder is given twice"),
    ],
)
def test_absurd_sizes_are_named(dataset, message, folder, monkeypatch):
    monkeypatch.setattr(limits, "free_memory", lambda: 2**34)
    monkeypatch.setenv("AMC_CACHE", str(folder / "cache"))
    with pytest.raises(ValueError, match=message):
        load(dataset, folder)


def test_the_disk_must_hold_the_decoded_images(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("AMC_CACHE", str(tmp_path / "cache" / "deep"))
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(limits.shutil, "disk_usage", lambda path: usage(3 * 16 * 64 * 64 - 1))
    with pytest.raises(
        ValueError, match=r"16 images of 64 x 64 pixels would take 196\.6 kB, but only 196\.6"
    ):
        load("folder?size=64", folder)
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(limits.shutil, "disk_usage", lambda path: usage(3 * 16 * 64 * 64))
    assert load("folder?size=64", folder).classes == 2
