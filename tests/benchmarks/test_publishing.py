"""Publishing of results: only finished, whole ones, which are never changed silently."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from small_study import Serial, variant

from benchmarks.__main__ import main
from benchmarks.publishing import publish
from benchmarks.reports.report import write
from benchmarks.studies import archive, journals, manifest
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError, Run, Setting, runs_of
from benchmarks.studies.study import complete


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, setting: Setting) -> Path:
    """Run a study to its end with its report, and another study in a subfolder."""
    made, console = tmp_path_factory.mktemp("finished"), Console(quiet=True)
    for folder, seeds in ((made, 2), (made / "below", 1)):
        store = Store(folder)
        store.prepare()
        assert complete(runs_of(setting, ["guess"], seeds), store, Serial(), console)
    write(made, console)
    return made


@pytest.fixture
def run(tmp_path: Path, finished: Path) -> Path:
    """Copy the finished study, so that a test can change it."""
    return shutil.copytree(finished, tmp_path / "runs" / "x")


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def as_kept(records: list[Record]) -> list[Record]:
    """Leave out what an archive leaves out: plans that were not best, and times below 10 ms."""
    return [
        replace(
            each,
            history=replace(
                each.history, channels=[], seconds=archive.rounded(each.history.seconds)
            ),
        )
        for each in records
    ]


def test_times_are_rounded_to_a_hundredth_of_a_second() -> None:
    assert archive.rounded([0.0, 0.0049, 0.0051, 1.2345]) == [0.0, 0.0, 0.01, 1.23]


def test_a_finished_run_is_published_with_all_below_it(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "results"
    assert main(["publish", str(run), "--to", str(to), "--name", "cifar10/mine"]) == 0
    assert f"git add {to / 'cifar10' / 'mine'}" in capsys.readouterr().out
    published, made = to / "cifar10" / "mine", content(run)
    reports = {"report.md", "report.csv", "learning-curves.png", "policies.png"}
    assert set(content(published)) == reports | {"runs.parquet", "below/runs.parquet"}
    assert {name: made[name] for name in reports} == {
        name: text for name, text in content(published).items() if name in reports
    }
    for folder in (".", "below"):
        records, _ = Store(run / folder).load()
        assert Store(published / folder).load() == (as_kept(records), {})
    assert [path.name for path in to.iterdir()] == ["cifar10"]


def test_reports_of_what_is_published_are_the_same(
    tmp_path: Path, run: Path, setting: Setting, serial: Serial, console: Console
) -> None:
    target = publish(run, "x", tmp_path / "results")
    for name in ("report.md", "report.csv"):
        (target / name).unlink()
    write(target, console)
    for name in ("report.md", "report.csv", "learning-curves.png", "policies.png"):
        assert (target / name).read_bytes() == (run / name).read_bytes()
    # The published study can go on, and added runs are published like the others.
    assert complete(runs_of(setting, ["guess"], 3), Store(target), serial, console)
    assert len(serial.runs) == 1
    again = publish(target, "y", tmp_path / "results")
    assert Store(again).load()[0] == as_kept(Store(target).load()[0])
    assert len(Store(again).load()[0]) == 3
    assert not list(again.glob("*.json"))


def test_a_damaged_archive_is_refused(tmp_path: Path, run: Path) -> None:
    """Change single bytes: either the archive is refused, or its runs are read unchanged."""
    target = publish(run, "x", tmp_path / "results")
    path = target / "runs.parquet"
    whole, records = path.read_bytes(), Store(target).load()[0]
    refused = 0
    for place in random.Random(0).sample(range(len(whole)), 120):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        found, foreign = Store(target).load()
        assert found == (records if not foreign else [])
        assert all(text.isprintable() and text for text in foreign.values())
        refused += bool(foreign)
    assert refused > 60
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BenchmarkError, match=r"runs\.parquet are damaged"):
        publish(target, "y", tmp_path / "results")


def test_without_pyarrow_its_extra_is_named(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = publish(run, "x", tmp_path / "results")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BenchmarkError, match=r"pip install -e '.\[benchmarks\]'"):
        Store(target).load()
    assert Store(run).load()[0]  # results that are not archived need no pyarrow


def test_what_is_committed_is_not_changed_silently(
    tmp_path: Path, run: Path, record: Record
) -> None:
    to = tmp_path / "results"
    target = publish(run, "x", to)
    before = content(target)
    publish(run, "x", to)  # equal results may be published again
    assert content(target) == before
    Store(run).save(variant(record, "other", 0, 0.5))
    (run / "report.md").unlink()
    with pytest.raises(BenchmarkError, match=r"holds other results \(report.md, runs.parquet"):
        publish(run, "x", to)
    assert content(target) == before
    assert publish(run, "x", to, replace=True) == target
    now = content(target)
    assert "report.md" not in now
    assert len(now) == len(before) - 1
    assert len(Store(target).load()[0]) == 3
    assert [path.name for path in to.iterdir()] == ["x"]


def left(run: Path, name: str, text: str = "") -> None:
    (run / name).write_text(text)


Spoil = Callable[[Path, Setting], object]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda run, s: journals.write(run, Run(s, "mine", 0), [], "a crash"), "are not finished"),
        (lambda run, s: journals.write(run / "below", Run(s, "a", 0), [], ""), "are not finished"),
        (lambda run, s: manifest.ask(run, [Run(s, "mine", 0)]), "are not there"),
        (lambda run, s: next(run.glob("guess-seed1-*")).unlink(), "are not there"),
        (lambda run, s: next(run.glob("guess-seed1-*")).write_text("{"), "are damaged"),
        (lambda run, s: left(run / "below", "x.pt"), "not finished"),
        (lambda run, s: left(run, "x.json.0f.partial"), "not finished"),
        (lambda run, s: left(run, "stage-1.checkpoint"), "not finished"),
        (lambda run, s: left(run, "x.jsonl", "{"), "no journals"),
    ],
)
def test_what_is_not_finished_is_refused(
    tmp_path: Path, run: Path, setting: Setting, spoil: Spoil, problem: str
) -> None:
    spoil(run, setting)
    with pytest.raises(BenchmarkError, match=problem):
        publish(run, "x", tmp_path / "results")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/../../x", "/x"])
def test_names_stay_within_the_folder(tmp_path: Path, run: Path, name: str) -> None:
    with pytest.raises(BenchmarkError, match="--name must be the name of a folder"):
        publish(run, name, tmp_path / "results")


def test_what_is_no_run_is_refused(tmp_path: Path, run: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, problem in (
        (tmp_path / "nowhere", "not a results folder"),
        (tmp_path / "empty", "no finished results"),
    ):
        with pytest.raises(BenchmarkError, match=problem):
            publish(folder, "x", tmp_path / "results")
    with pytest.raises(BenchmarkError, match="one lies in the other"):
        publish(run, "x", run.parent)


def test_an_interrupted_copy_leaves_what_was_there(
    tmp_path: Path, run: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "results"
    before = content(publish(run, "x", to))
    Store(run).save(variant(record, "other", 0, 0.5))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("benchmarks.publishing.shutil.copyfile", interrupt)
        with pytest.raises(KeyboardInterrupt):
            publish(run, "x", to, replace=True)
    assert content(to / "x") == before
    assert [path.name for path in to.iterdir()] == ["x"]
