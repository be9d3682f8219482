"""What is committed is finished, whole, and never changed in passing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from small_study import Serial, variant

from benchmarks.__main__ import main
from benchmarks.publishing import publish
from benchmarks.reports.report import write
from benchmarks.studies import journals, manifest
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError, Run, Setting, runs_of
from benchmarks.studies.study import complete


@pytest.fixture
def run(tmp_path: Path, setting: Setting, serial: Serial, console: Console) -> Path:
    """A finished study with its report, and a study below it."""
    for folder, seeds in ((tmp_path / "runs" / "x", 2), (tmp_path / "runs" / "x" / "below", 1)):
        store = Store(folder)
        store.prepare()
        assert complete(runs_of(setting, ["guess"], seeds), store, serial, console)
    write(tmp_path / "runs" / "x", console)
    return tmp_path / "runs" / "x"


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_finished_run_is_copied_with_all_below_it(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "results"
    assert main(["publish", str(run), "--to", str(to), "--name", "cifar10/mine"]) == 0
    assert f"git add {to / 'cifar10' / 'mine'}" in capsys.readouterr().out
    expected = content(run)
    assert expected.pop("report.html")  # large, and made anew
    assert content(to / "cifar10" / "mine") == expected
    assert len(Store(to / "cifar10" / "mine" / "below").load()[0]) == 1
    assert [path.name for path in to.iterdir()] == ["cifar10"]


def test_what_is_committed_is_not_changed_silently(
    tmp_path: Path, run: Path, record: Record
) -> None:
    to = tmp_path / "results"
    target = publish(run, "x", to)
    before = content(target)
    publish(run, "x", to)  # the same again
    assert content(target) == before
    Store(run).save(variant(record, "other", 0, 0.5))
    (run / "report.md").unlink()
    with pytest.raises(BenchmarkError, match=r"holds other results \(other-seed0-.*report.md"):
        publish(run, "x", to)
    assert content(target) == before
    assert publish(run, "x", to, replace=True) == target
    now = content(target)
    assert "report.md" not in now
    assert len(now) == len(before)
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
def test_names_lead_nowhere_else(tmp_path: Path, run: Path, name: str) -> None:
    with pytest.raises(BenchmarkError, match="--name must be a folder's name"):
        publish(run, name, tmp_path / "results")


def test_what_is_no_run_is_refused(tmp_path: Path, run: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, problem in (
        (tmp_path / "nowhere", "no results folder"),
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
