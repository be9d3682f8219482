"""TensorBoard logs of finished runs: every quantity of their history against evaluations.

They are written from the records, so every agent has them, wherever its run was carried out.
"""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks.studies.records import Record, Store
from benchmarks.studies.runs import BenchmarkError

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError as error:
    raise BenchmarkError("--tensorboard needs it: pip install -e '.[tensorboard]'") from error


class LoggedStore(Store):
    """A folder of records that writes a log of each to another folder.

    Args:
        folder: of the records.
        logs: of the logs, one folder for each run.
    """

    def __init__(self, folder: Path, logs: Path) -> None:
        super().__init__(folder)
        self.logs = logs

    def prepare(self) -> None:
        """Make both folders, and the logs of the records that are there already.

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
                f"cannot write to the folder {self.logs} ({error.strerror}); "
                "name another one with --tensorboard"
            ) from error

    def save(self, record: Record) -> Path:
        """Write a record and its log, in place of those of an earlier time."""
        path = self.path(record.run)
        earlier = path.exists() and path.read_bytes() != record.to_json().encode()
        super().save(record)
        if earlier:
            shutil.rmtree(self.logs / record.run.name, ignore_errors=True)
        write(record, self.logs)
        return path


def write(record: Record, logs: Path) -> Path:
    """Write the log of one run, unless it is there: a folder that bears the run's name.

    Scalars, at step n the n-th evaluation: ``reward``; ``accuracy`` on the reward images, in
    [0, 1]; ``best/reward`` and ``best/accuracy`` of the best plan so far; ``macs`` and ``params``
    as shares of the full network's.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = logs / record.run.name
    if folder.exists():
        return folder
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed meanwhile
    began = datetime.fromisoformat(record.date).timestamp() - record.seconds
    try:
        with SummaryWriter(str(partial)) as writer:
            for name, values in _scalars(record).items():
                history = record.history
                for value, step, seconds in zip(
                    values, history.evaluation, history.seconds, strict=True
                ):
                    writer.add_scalar(name, value, step, began + seconds)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _scalars(record: Record) -> dict[str, np.ndarray]:
    history = record.history
    reward, accuracy = np.array(history.reward), np.array(history.accuracy)
    # The first of equal rewards is the best one, as it is for the agents.
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
