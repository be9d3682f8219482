"""Gain of the vector environment where cores are available.

The target is 1.5 times the episodes per second of the single environment where that leaves cores
idle: with 100 reward images, one batch.  With 400 it uses two cores by itself.
"""

from __future__ import annotations

import pytest

from amc_gym.compression.evaluation.batch_size import BATCH_IMAGES, BATCHES
from benchmarks.machine import cores
from benchmarks.speed import environments, tables
from benchmarks.speed.conftest import Row
from benchmarks.speed.limit import run_module

WANTED = 1.5


@pytest.mark.parametrize("images", [400, 100])
def test_environments(images: int, row: Row) -> None:
    threads = cores()
    figures = run_module(environments.__name__, threads, "--images", str(images))
    vector = figures["vector"]
    figures |= {
        "threads": threads,
        "against_one_core": vector / figures["one_core"],
        "against_single": vector / figures["single"],
    }
    if figures["parallel"] is not None and figures["parallel"] < 1:
        figures["met"] = "cores busy"
    elif images < BATCHES * BATCH_IMAGES:
        met = figures["against_single"] >= WANTED
        figures |= {"wanted": f"≥ {WANTED:g}", "met": tables.yes(met)}
    row(tables.ENVIRONMENTS, f"MobileNet digits, {images} images", figures)
