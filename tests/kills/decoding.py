"""Decoding of photographs: the cache holds a whole data set or nothing, and no leftovers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.kills.harness import Done

SIDE = 700
"""Side of a photograph in pixels; decoding all photographs takes a second."""

COUNTS = {"train": 60, "val": 40}
"""Number of photographs of each class."""


class Decoding:
    """A scenario: ``amc-gym info`` on a folder of photographs that are not in the cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.photographs = folder / "photographs"
        noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        folder.mkdir(parents=True, exist_ok=True)
        for part, count in COUNTS.items():
            for name in ("cat", "dog"):
                (self.photographs / part / name).mkdir(parents=True)
                for number in range(count):
                    noise = np.roll(noise, 99, (0, 1))  # splits may not share photographs
                    Image.fromarray(noise).save(self.photographs / part / name / f"{number}.jpg")
        self._whole: dict[str, bytes] = {}

    def command(self) -> list[str]:
        run = [sys.executable, "-W", "ignore", "-m", "amc_gym", "info", "AMC-Plain20-v0"]
        data = ["--dataset", "folder?size=32", "--data-root", str(self.photographs)]
        return [*run, *data, "--weights", "random"]

    def killed(self) -> None:
        for path in self.cache.glob("*.npy"):
            assert path.with_suffix(".json").exists(), "images without their card"

    def finished(self, done: Done) -> None:
        assert done.returncode == 0, done.output
        names = {path.name for path in self.cache.iterdir()}
        assert len(names) == 6, sorted(names)  # images and cards of three splits
        # Cards hold the time at which they were written, so only images are compared.
        found = {path.name: path.read_bytes() for path in self.cache.glob("*.npy")}
        for path in self.cache.iterdir():
            path.unlink()
        self._whole = self._whole or found
        assert found == self._whole, "other bits than those of another run"
