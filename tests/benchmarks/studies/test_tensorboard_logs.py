"""TensorBoard reads from a log what the record says."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.studies.records import Record
from benchmarks.studies.runs import BenchmarkError
from benchmarks.studies.tensorboard_logs import LoggedStore, write


def read(folder: Path) -> EventAccumulator:
    (file,) = folder.iterdir()
    return EventAccumulator(str(file)).Reload()


def test_a_log_holds_the_history(tmp_path: Path, record: Record) -> None:
    history = replace(record.history, reward=[0.5, 0.25, 0.5], accuracy=[0.4, 0.7, 0.6])
    record = replace(record, history=history)
    folder = write(record, tmp_path)
    assert folder == tmp_path / record.run.name
    log = read(folder)

    def values(name: str) -> list[float]:
        scalars = log.Scalars(name)
        assert [scalar.step for scalar in scalars] == [1, 2, 3]
        return [scalar.value for scalar in scalars]

    assert values("reward") == [0.5, 0.25, 0.5]
    assert values("accuracy") == pytest.approx([0.4, 0.7, 0.6])
    assert values("best/reward") == [0.5, 0.5, 0.5]
    assert values("best/accuracy") == pytest.approx([0.4, 0.4, 0.4])  # the earliest of equals
    for name in ("macs", "params"):
        full = getattr(record.full, name)
        assert values(name) == pytest.approx([n / full for n in getattr(history, name)])
    ended = datetime.fromisoformat(record.date).timestamp()
    moments = [scalar.wall_time for scalar in log.Scalars("reward")]
    assert moments == pytest.approx([ended - record.seconds + s for s in history.seconds])


def test_each_record_is_logged_once(tmp_path: Path, record: Record) -> None:
    plain = LoggedStore(tmp_path / "results", tmp_path / "other")
    plain.prepare()
    plain.save(record)
    partial = tmp_path / "logs" / f"{record.run.name}.partial"
    partial.mkdir(parents=True)
    (partial / "events.out.tfevents.0").write_bytes(b"cut sh")
    store = LoggedStore(tmp_path / "results", tmp_path / "logs")
    store.prepare()  # of what was there before
    (file,) = (tmp_path / "logs" / record.run.name).iterdir()
    content = file.read_bytes()
    store.save(record)
    store.prepare()
    assert [file] == [path for path in (tmp_path / "logs").rglob("*") if path.is_file()]
    assert file.read_bytes() == content


def test_a_run_that_is_done_again_is_logged_again(tmp_path: Path, record: Record) -> None:
    store = LoggedStore(tmp_path / "results", tmp_path / "logs")
    store.prepare()
    store.save(record)
    again = replace(record, history=replace(record.history, reward=[0.25, 0.5, 0.75]))
    store.save(again)
    events = EventAccumulator(str(tmp_path / "logs" / record.run.name)).Reload()
    assert [event.value for event in events.Scalars("reward")] == [0.25, 0.5, 0.75]


def test_logs_that_cannot_be_written_are_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchmarkError, match="--tensorboard"):
        LoggedStore(tmp_path / "results", tmp_path / "file").prepare()
