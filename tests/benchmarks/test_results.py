"""Committed results: readable, small, and what their tables say is what their runs say."""

from __future__ import annotations

import subprocess
from pathlib import Path

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
LARGEST = 25_000_000
"""Bytes of all that is committed, but the zoo; whoever clones it waits for them."""

ZOO = ("amc_gym/zoo/small/", "amc_gym/zoo/datasets/")
"""Small networks and what they read."""

LARGEST_ZOO = 10_000_000


def linked(folder: Path, to: Path, *names: str) -> Path:
    """A folder with the archive and nothing else, so that reports are written elsewhere."""
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


@pytest.mark.parametrize("name", ["mobilenet-digits", "cifar10/plain20-50", "vgg16-digits-full"])
def test_the_runs_give_the_committed_report(name: str, tmp_path: Path, console: Console) -> None:
    """In full precision: what was committed as a file for each run is in the archive."""
    folder = linked(RESULTS / name, tmp_path / "study", archive.FILE)
    write(folder, console)
    for file in ("report.csv", "report.md"):
        assert (folder / file).read_text() == (RESULTS / name / file).read_text()


@pytest.mark.parametrize("name", ["cifar10/plain20-50", "cifar10/mobilenet-50-ddpg"])
def test_the_outcomes_give_the_committed_report(
    name: str, tmp_path: Path, console: Console
) -> None:
    source = RESULTS / name / "finetuned"
    folder = linked(source, tmp_path / "finetuned", tuned.FILE, "plans")
    write_tuned(folder, console)
    for file in ("finetuned.csv", "finetuned.md"):
        assert (folder / file).read_text() == (source / file).read_text()


def test_the_runs_give_the_committed_comparison(tmp_path: Path, console: Console) -> None:
    studies = [RESULTS / f"{name}-digits-40" for name in ("mobilenet", "plain20", "vgg16")]
    compare(studies, tmp_path, "random", console)
    for file in ("comparison.csv", "comparison.md"):
        committed = RESULTS / "comparison-digits-40" / file
        assert (tmp_path / file).read_text() == committed.read_text()


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
    zoo = sum(size for name, size in sizes.items() if name.startswith(ZOO))
    assert zoo < LARGEST_ZOO
    assert sum(sizes.values()) - zoo < LARGEST
