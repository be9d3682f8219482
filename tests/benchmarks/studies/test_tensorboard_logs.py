"""Logs for TensorBoard, which hold what the record says."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from small_study import ENV, KWARGS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.studies.execution import entrants_of, execute, setting_of
from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError, runs_of
from benchmarks.studies.tensorboard_logs import UNDER_WAY, LoggedStore, write


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
    assert values("best/accuracy") == pytest.approx([0.4, 0.4, 0.4])  # the earlier of two equals
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
    store.prepare()  # logs the records that are there already
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


def episode(evaluation: int, reward: float, **learner: float) -> dict[str, Any]:
    return {"evaluation": evaluation, "reward": reward, "accuracy": reward / 2} | (
        {"learner": learner} if learner else {}
    )


def test_a_run_is_seen_while_it_is_under_way(tmp_path: Path, record: Record) -> None:
    store = LoggedStore(tmp_path / "results", tmp_path / "logs")
    store.prepare()
    folder = tmp_path / "logs" / record.run.name
    store.on_news(record.run, [episode(1, 0.9)])
    store.on_news(record.run, [episode(1, 0.4), episode(2, 0.8, sigma=0.3)])  # started again
    assert (folder / UNDER_WAY).exists()
    log = EventAccumulator(str(folder)).Reload()
    assert [each.value for each in log.Scalars("best/reward")] == pytest.approx([0.4, 0.8])
    assert [each.value for each in log.Scalars("best/accuracy")] == pytest.approx([0.2, 0.4])
    ((step, sigma),) = [(each.step, each.value) for each in log.Scalars("learner/sigma")]
    assert (step, sigma) == (2, pytest.approx(0.3))
    assert "_hparams_/session_start_info" in log.summary_metadata

    store.save(record)
    log = read(folder)  # only one file, and no mark of an unfinished run
    assert len(log.Scalars("macs")) == len(record.history.reward)
    assert [each.step for each in log.Scalars("learner/sigma")] == [2]


def test_a_log_of_a_killed_study_is_written_anew(tmp_path: Path, record: Record) -> None:
    killed = LoggedStore(tmp_path / "results", tmp_path / "logs")
    killed.prepare()
    killed.on_news(record.run, [episode(1, 0.9)])
    killed.on_failed(record.run)
    Store(tmp_path / "results").save(record)
    LoggedStore(tmp_path / "results", tmp_path / "logs").prepare()
    log = read(tmp_path / "logs" / record.run.name)
    assert [each.value for each in log.Scalars("reward")] == pytest.approx(record.history.reward)


def test_a_learner_tells_of_its_losses_and_its_noise() -> None:
    """Follow losses and noise from the learner to a study's events; rules have none."""
    heard: list[dict[str, Any]] = []
    setting = setting_of(ENV, KWARGS, 4)
    for name in ("amc-ddpg", "uniform"):
        (entrant,) = entrants_of(setting, [name], {"hidden": 8} if name == "amc-ddpg" else {})
        (run, *_) = runs_of(setting, [entrant], 1)
        execute(run, lambda steps, news=None: heard.append(news) if news else None)
    told = [news.get("learner", {}) for news in heard]
    assert {"sigma", "baseline", "critic loss", "actor loss"} <= told[3].keys()
    assert all(math.isfinite(value) for each in told for value in each.values())
    assert told[-1] == {}
