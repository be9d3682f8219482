"""Interrupted decoding: the next run removes all that it has left behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from children import Forked, interruptible, run_forked
from PIL import Image

from amc_gym._utils.files import replacing, write_json
from amc_gym.zoo.datasets import _load, cache, load

# Waits before it opens one photograph for as long as the file ``hold`` exists.
DECODES = """
import sys, time
from pathlib import Path
from PIL import Image
from amc_gym.zoo.datasets import load

root, hold = Path(sys.argv[1]), Path(sys.argv[2])
really = Image.open

def waiting(path):
    while path.name == "2.png" and hold.exists():
        time.sleep(0.01)
    return really(path)

Image.open = waiting
load("folder?size=64", root)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AMC_CACHE", str(tmp_path / "cache"))
    _load.cache_clear()
    return tmp_path / "cache"


def photographs(folder: Path, count: int = 4) -> Path:
    """Write ``count`` small images in each of two classes."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                pixels.flat[pixels.argmin()] += 1
                Image.fromarray(pixels).save(folder / part / name / f"{number}.png")
    return folder


def begun(root: Path, folder: Path, hold: Path) -> Forked:
    """Start a process that stops in the middle of decoding until ``hold`` is removed."""
    hold.touch()
    process = Forked(DECODES, str(root), str(hold))
    deadline = time.monotonic() + 120
    while not any(folder.glob("*.partial")):
        assert process.alive, process.wait()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.mark.thorough
def test_a_living_decoding_is_left_alone_and_what_a_killed_one_leaves_goes(
    folder: Path, tmp_path: Path
) -> None:
    root, hold = photographs(tmp_path / "photographs"), tmp_path / "hold"
    process = begun(root, folder, hold)
    load("folder?size=8", root)
    hold.unlink()
    done = process.wait()
    assert done.returncode == 0, done.stderr
    assert len(list(folder.iterdir())) == 12  # images and cards of three splits, twice

    for path in folder.iterdir():
        path.unlink()
    process = begun(root, folder, hold)
    process.kill()
    process.wait()
    assert len(list(folder.iterdir())) == 1
    load("folder?size=16", root)
    assert len(list(folder.iterdir())) == 6


def test_an_interruption_does_not_wait_for_all_images(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, opened, really = photographs(tmp_path / "photographs", 400), [], Image.open

    def counting(path: Path) -> Image.Image:
        opened.append(path)
        if len(opened) == 10:
            os.kill(os.getpid(), signal.SIGINT)
        return really(path)

    monkeypatch.setattr(Image, "open", counting)
    with interruptible(), pytest.raises(KeyboardInterrupt):
        load("folder?size=8", root)
    assert 10 <= len(opened) < 400  # of 1,600: only those queued already
    assert list(folder.iterdir()) == []


def test_halves_of_pairs_go_unless_somebody_is_about_to_write_the_other(folder: Path) -> None:
    folder.mkdir()
    lonely, beside, awaited = (folder / f"{digit * 32}" for digit in "abc")
    write_json(lonely.with_suffix(".json"), {})
    beside.with_suffix(".npy").touch()
    (folder / "notes.json").touch()
    with replacing(awaited.with_suffix(".npy")):
        write_json(awaited.with_suffix(".json"), {})
        cache.tidy()
        assert awaited.with_suffix(".json").exists()
    assert sorted(os.listdir(folder)) == [f"{'c' * 32}.json", f"{'c' * 32}.npy", "notes.json"]


FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # of every file that is written
"""


@pytest.mark.skipif(os.name != "posix", reason="limits are POSIX's")
def test_without_room_the_error_names_the_file_and_the_way_out(
    folder: Path, tmp_path: Path
) -> None:
    root = photographs(tmp_path / "photographs")
    done = run_forked(FULL + DECODES, str(root), str(tmp_path / "hold"))
    last = done.stderr.splitlines()[-1]
    assert last.startswith("OSError: [Errno 27] File too large: name a folder with more room in")
    assert "AMC_CACHE" in last
    assert f"'{folder}" in last
    assert last.endswith(".npy'")
    assert list(folder.iterdir()) == []


def test_the_file_is_what_numpy_writes(folder: Path, tmp_path: Path) -> None:
    splits = load("folder?size=8", photographs(tmp_path / "photographs"))
    for path in folder.glob("*.npy"):
        again = tmp_path / "again.npy"
        np.save(again, np.load(path))
        assert again.read_bytes() == path.read_bytes()
    assert splits.train.images.shape == (8, 3, 8, 8)
