"""A folder of results: only whole files count, and no finished run is run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from small_study import ENV, KWARGS, Serial

from benchmarks.studies.execution import setting_of, work
from benchmarks.studies.executor import LocalExecutor
from benchmarks.studies.records import FORMAT, Record, RecordError, Store
from benchmarks.studies.runs import BenchmarkError, Run, Setting, runs_of
from benchmarks.studies.study import complete

Said = Callable[[Console], str]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "results")
    store.prepare()
    return store


def test_records_survive_their_file(store: Store, record: Record) -> None:
    path = store.save(record)
    assert Record.from_json(path.read_text()) == record
    assert store.load() == ([record], {})
    assert list(store.folder.iterdir()) == [path]


def test_finished_runs_are_skipped(
    store: Store, setting: Setting, serial: Serial, console: Console, said: Said
) -> None:
    runs = runs_of(setting, ["guess"], 2)
    assert complete(runs[:1], store, serial, console)
    before = store.path(runs[0]).read_bytes()
    assert complete(runs, store, serial, console)
    assert serial.runs == runs  # the first one was not run again
    assert store.path(runs[0]).read_bytes() == before
    assert "1 of 2 runs are finished already" in said(console)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda text: text[: len(text) // 2], "not a complete record"),
        (lambda text: text.replace('"seed": 0', '"seed": 1'), "changed"),
        (lambda text: text.replace("amc-gym run 1", "amc-gym run 9"), "format"),
        (lambda text: "[]", "not a complete record"),
        (lambda text: "", "not a complete record"),
    ],
)
def test_damaged_files_are_reported_and_run_again(
    store: Store,
    record: Record,
    serial: Serial,
    console: Console,
    said: Said,
    damage: Callable[[str], str],
    problem: str,
) -> None:
    path = store.save(record)
    path.write_text(damage(path.read_text()))
    assert complete([record.run], store, serial, console)
    assert serial.runs == [record.run]
    (again,), foreign = store.load()
    assert again.history.channels == record.history.channels
    assert not foreign
    assert f"{path.name} does not count" in said(console)
    assert problem in said(console)


def test_foreign_files_are_reported_and_left_alone(
    store: Store, record: Record, serial: Serial, console: Console, said: Said
) -> None:
    whole = store.save(record).read_text()
    renamed = store.folder / "guess-seed1-0123456789ab.json"
    renamed.write_text(whole)
    card = store.folder / "card.json"
    card.write_text('{"network": "MobileNet"}')
    assert complete([record.run], store, serial, console)
    assert serial.runs == []
    assert renamed.read_text() == whole
    assert set(store.load()[1]) == {renamed, card}
    assert f"{renamed.name} does not count: it is the record of" in said(console)
    assert "card.json does not count" in said(console)


def test_plans_that_were_changed_do_not_count(record: Record) -> None:
    content = json.loads(record.to_json())
    content["best"]["plan"]["measured"]["accuracy"] = 1.0
    del content["format"], content["sha256"]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    checksum = hashlib.sha256(canonical.encode()).hexdigest()
    with pytest.raises(RecordError, match="the plan does not match its checksum"):
        Record.from_json(json.dumps({"format": FORMAT, "sha256": checksum} | content))


def test_another_setting_in_the_folder_is_reported(
    store: Store, record: Record, serial: Serial, console: Console, said: Said
) -> None:
    store.save(record)
    other = setting_of(ENV, KWARGS | {"preserve_ratio": 0.5}, episodes=3)
    assert complete(runs_of(other, ["guess"], 1), store, serial, console)
    assert "also holds runs of 1 other setting" in said(console)
    assert len(store.load()[0]) == 2


def test_an_interrupted_write_leaves_nothing(
    store: Store, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("amc_gym._utils.files.os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.save(record)
    assert list(store.folder.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BenchmarkError, match=r"cannot write to the results folder .*--out"):
            Store(folder).prepare()


def test_closing_the_executor_ends_its_workers(setting: Setting) -> None:
    events = LocalExecutor(work, workers=1, modules=("small_learners",))([Run(setting, "die", 0)])
    next(events)
    assert events.gi_frame is not None
    ((_, process),) = events.gi_frame.f_locals["active"].values()
    assert process.is_alive()
    events.close()
    assert process.exitcode is not None
