"""TensorBoard logs of runs, during the runs and after they have finished.

A running log has what is known about each finished episode.  When the run has finished, the log is
rewritten from its record, so that every agent has one, wherever its run was executed.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError, Run

try:
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams
except ImportError as error:
    raise BenchmarkError("--tensorboard needs it: pip install -e '.[tensorboard]'") from error


UNDER_WAY = "under-way"
"""File that marks the folder of an unfinished log."""

Learnt = Mapping[int, Mapping[str, float]]
"""Evaluation -> name -> figure that the agent reported after it."""


class LiveLog:
    """The log of a running run, with a point for each finished episode.

    Args:
        logs: folder of the logs.
        run: the run; the log of an earlier attempt is replaced.
    """

    def __init__(self, logs: Path, run: Run) -> None:
        self.folder = logs / run.name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / UNDER_WAY).touch()
        self.learnt: dict[int, dict[str, float]] = {}
        self.last = 0
        self._best: dict[str, float] = {"reward": float("-inf"), "accuracy": 0.0}
        self._writer = SummaryWriter(str(self.folder))
        _hyperparameters(self._writer, run)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Add an episode, see ``journals.entry``."""
        self.last, now = entry["evaluation"], time.time()
        if entry["reward"] > self._best["reward"]:
            self._best = {name: entry[name] for name in self._best}
        values = {name: entry[name] for name in self._best}
        values |= {f"best/{name}": value for name, value in self._best.items()}
        if learnt := entry.get("learner"):
            self.learnt[self.last] = learnt
            values |= {f"learner/{name}": value for name, value in learnt.items()}
        for name, value in values.items():
            self._writer.add_scalar(name, value, self.last, now)

    def flush(self) -> None:
        """Show what was added."""
        self._writer.flush()

    def close(self) -> None:
        """End the log."""
        self._writer.close()


def _hyperparameters(writer: SummaryWriter, run: Run) -> None:
    """Write agent and setting for TensorBoard's tab of hyper-parameters."""
    given = {name: value for name, value in run.setting.options.items() if value is not None}
    known = {"agent": run.agent, "seed": run.seed, "env": run.setting.env}
    named = {**given, **{f"agent/{name}": value for name, value in run.arguments.items()}, **known}
    plain = {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in named.items()
    }
    file = writer.file_writer
    assert file is not None
    for summary in hparams(plain, {"best/reward": 0.0, "best/accuracy": 0.0}):
        file.add_summary(summary)


class LoggedStore(Store):
    """A folder of records that also writes a log of each to another folder.

    Args:
        folder: folder of the records.
        logs: folder of the logs, with one subfolder for each run.
    """

    def __init__(self, folder: Path, logs: Path) -> None:
        super().__init__(folder)
        self.logs = logs
        self._live: dict[Run, LiveLog] = {}

    def prepare(self) -> None:
        """Create both folders, and the logs of existing records.

        Raises:
            BenchmarkError: a folder cannot be written.
        """
        super().prepare()
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            for record in self.load()[0]:
                write(record, self.logs)
        except OSError as error:
            raise BenchmarkError(
                f"cannot write to the folder {self.logs} ({error.strerror}): choose another one "
                "with --tensorboard"
            ) from error

    def on_news(self, run: Run, news: Sequence[Mapping[str, Any]]) -> None:
        """Add episodes to the log of a running run; a restarted run gets a new log."""
        for entry in news:
            log = self._live.get(run)
            if log is None or entry["evaluation"] <= log.last:
                if log is not None:
                    log.close()
                log = self._live[run] = LiveLog(self.logs, run)
            log.add(entry)
        if run in self._live:
            self._live[run].flush()

    def on_failed(self, run: Run) -> None:
        """End the log of a failed run, which is kept and marked as unfinished."""
        if log := self._live.pop(run, None):
            log.close()

    def save(self, record: Record) -> Path:
        """Write a record and its log, replacing earlier ones."""
        live = self._live.pop(record.run, None)
        if live is not None:
            live.close()
        path = self.path(record.run)
        earlier = path.exists() and path.read_bytes() != record.to_json().encode()
        super().save(record)
        if earlier:
            shutil.rmtree(self.logs / record.run.name, ignore_errors=True)
        write(record, self.logs, {} if live is None else live.learnt)
        return path


def write(record: Record, logs: Path, learnt: Learnt = MappingProxyType({})) -> Path:
    """Write the log of one run, unless it exists, to a folder with the run's name.

    Scalars, with evaluation n at step n: ``reward``; ``accuracy`` on the reward images, in [0, 1];
    ``best/reward`` and ``best/accuracy`` of the best plan so far; ``macs`` and ``params`` as shares
    of the full network's; ``learner/NAME`` for figures that the agent reported.

    Args:
        record: of the run.
        logs: folder of the logs.
        learnt: figures that the agent reported during the run.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = logs / record.run.name
    if folder.exists() and not (folder / UNDER_WAY).exists():
        return folder
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
    began = datetime.fromisoformat(record.date).timestamp() - record.seconds
    try:
        with SummaryWriter(str(partial)) as writer:
            for name, values in _scalars(record).items():
                history = record.history
                for value, step, seconds in zip(
                    values, history.evaluation, history.seconds, strict=True
                ):
                    writer.add_scalar(name, value, step, began + seconds)
            times = dict(zip(record.history.evaluation, record.history.seconds, strict=True))
            for step, logged in learnt.items():
                for name, value in logged.items():
                    writer.add_scalar(f"learner/{name}", value, step, began + times[step])
            _hyperparameters(writer, record.run)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _scalars(record: Record) -> dict[str, np.ndarray]:
    history = record.history
    reward, accuracy = np.array(history.reward), np.array(history.accuracy)
    # Of equal rewards the first is the best, as for the agents.
    first = np.r_[True, reward[1:] > np.maximum.accumulate(reward)[:-1]]
    best = np.maximum.accumulate(np.where(first, np.arange(len(reward)), 0))
    return {
        "reward": reward,
        "accuracy": accuracy,
        "best/reward": reward[best],
        "best/accuracy": accuracy[best],
        "macs": np.array(history.macs) / record.full.macs,
        "params": np.array(history.params) / record.full.params,
    }
