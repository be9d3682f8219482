"""Decoding that is stopped leaves nothing behind that the next run does not remove."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amc_gym._utils.files import replacing, write_json
from amc_gym.zoo.datasets import _load, cache, load

DECODES = """
import sys
from pathlib import Path
from amc_gym.zoo.datasets import load
print("begins", flush=True)
load("folder?size=" + sys.argv[2], Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of one large photograph, under many names: seconds of decoding."""
    folder = tmp_path_factory.mktemp("data")
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "photograph.jpg")
    for part, count in (("train", 100), ("val", 40)):
        for name in ("cat", "dog"):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                os.link(folder / "photograph.jpg", folder / part / name / f"{number}.jpg")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AMC_CACHE", str(tmp_path / "cache"))
    _load.cache_clear()
    return tmp_path / "cache"


def begun(root: Path, folder: Path, size: int = 64) -> subprocess.Popen[str]:
    """A process in the middle of decoding."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", DECODES, str(root), str(size)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in folder.glob("*.partial")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def small(tmp_path: Path) -> Path:
    """Two classes of a few small images."""
    root, pixels = tmp_path / "small", np.zeros((8, 8, 3), np.uint8)
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for number in range(4):
                pixels += 1
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")
    return root


def test_what_a_killed_decoding_leaves_goes_with_the_next_data_set(
    root: Path, folder: Path, tmp_path: Path
) -> None:
    process = begun(root, folder)
    process.kill()
    process.communicate()
    assert len(list(folder.iterdir())) == 1
    load("folder?size=8", small(tmp_path))
    assert len(list(folder.iterdir())) == 6  # images and cards of three splits


def test_a_living_decoding_is_left_alone(root: Path, folder: Path, tmp_path: Path) -> None:
    process = begun(root, folder)
    load("folder?size=8", small(tmp_path))
    assert process.wait() == 0, process.communicate()
    process.communicate()
    assert len(list(folder.iterdir())) == 12


def test_an_interruption_does_not_wait_for_all_images(root: Path, folder: Path) -> None:
    process = begun(root, folder, 128)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    seconds = time.monotonic() - began
    assert "KeyboardInterrupt" in errors
    assert list(folder.iterdir()) == []
    assert seconds < 5


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
def test_without_room_the_error_names_the_file_and_the_way_out(root: Path, folder: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FULL + DECODES, str(root), "64"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("OSError: [Errno 27] File too large: name a folder with more room in")
    assert "AMC_CACHE" in last
    assert f"'{folder}" in last
    assert last.endswith(".npy'")
    assert list(folder.iterdir()) == []


def test_the_file_is_what_numpy_writes(folder: Path, tmp_path: Path) -> None:
    splits = load("folder?size=8", small(tmp_path))
    for path in folder.glob("*.npy"):
        again = tmp_path / "again.npy"
        np.save(again, np.load(path))
        assert again.read_bytes() == path.read_bytes()
    assert splits.train.images.shape == (8, 3, 8, 8)
