"""Committed results: readable, small, and with tables that follow from their runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.comparison.report import write as compare
from benchmarks.finetuning import archive as tuned
from benchmarks.finetuning.outcomes import load_all
from benchmarks.finetuning.report import write as write_tuned
from benchmarks.reports.report import write
from benchmarks.studies import archive
from benchmarks.studies.records import Store

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
LARGEST_WEIGHTS, LARGEST = 40_000_000, 9_500_000
"""Limits in bytes of committed weights, and of other files, as every clone has to load them."""


def linked(folder: Path, to: Path, *names: str) -> Path:
    """Link named files into a new folder, so that reports are not written beside the originals."""
    to.mkdir(parents=True, exist_ok=True)
    for name in names:
        (to / name).symlink_to(folder / name)
    return to


def test_all_archives_are_whole() -> None:
    runs = {path.parent for path in RESULTS.rglob(archive.FILE)}
    networks = {path.parent for path in RESULTS.rglob(tuned.FILE)}
    assert len(runs) >= 15
    assert len(networks) >= 8
    for folder in runs:
        records, foreign = Store(folder).load()
        assert records
        assert not [path for path in foreign if path.name == archive.FILE]
    for folder in networks:
        assert load_all(folder)


def assert_same(found: Path, committed: Path) -> None:
    """Compare files; figures may differ in the last digit between versions of NumPy and SciPy."""
    texts = [re.split(r"(-?\d+\.\d+(?:e-?\d+)?)", each.read_text()) for each in (found, committed)]
    assert len(texts[0]) == len(texts[1])
    assert texts[0][::2] == texts[1][::2]
    figures = [np.array(text[1::2], dtype=float) for text in texts]
    np.testing.assert_allclose(*figures, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["mobilenet-digits", "cifar10/plain20-50", "vgg16-digits-full"])
@pytest.mark.thorough
def test_the_runs_give_the_committed_report(name: str, tmp_path: Path, console: Console) -> None:
    """Compare in full precision the report made from the archive with the committed one."""
    folder = linked(RESULTS / name, tmp_path / "study", archive.FILE)
    write(folder, console)
    for file in ("report.csv", "report.md"):
        assert_same(folder / file, RESULTS / name / file)


@pytest.mark.parametrize("name", ["cifar10/plain20-50", "cifar10/mobilenet-50-ddpg"])
@pytest.mark.thorough
def test_the_outcomes_give_the_committed_report(
    name: str, tmp_path: Path, console: Console
) -> None:
    source = RESULTS / name / "finetuned"
    folder = linked(source, tmp_path / "finetuned", tuned.FILE, "plans")
    write_tuned(folder, console)
    for file in ("finetuned.csv", "finetuned.md"):
        assert_same(folder / file, source / file)


@pytest.mark.thorough
def test_the_runs_give_the_committed_comparison(tmp_path: Path, console: Console) -> None:
    studies = [RESULTS / f"{name}-digits-40" for name in ("mobilenet", "plain20", "vgg16")]
    compare(studies, tmp_path, "random", console)
    for file in ("comparison.csv", "comparison.md"):
        assert_same(tmp_path / file, RESULTS / "comparison-digits-40" / file)


def test_what_is_committed_is_small() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("this is no checkout")
    sizes = {
        name: (ROOT / name).lstat().st_size
        for name in listed.stdout.split("\0")
        if name and (ROOT / name).exists()
    }
    weights = sum(size for name, size in sizes.items() if name.endswith(".safetensors"))
    assert weights < LARGEST_WEIGHTS
    unfinished = sum(size for name, size in sizes.items() if name.endswith(".checkpoint.pt"))
    assert unfinished < 6 * 10**6  # studies under way, in benchmarks/unfinished
    assert sum(sizes.values()) - weights - unfinished < LARGEST
