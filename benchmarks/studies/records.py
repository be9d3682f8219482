"""A finished run as a JSON file, and a folder of them.

A file counts only if it is whole: it is written beside its place and moved there in one step, it
bears its run's name, and its content matches the checksum in it.  Runs that are not finished have
other files, see `journals`.  Runs of a published study are in one file, see `archive`.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from agents import Episode
from amc_gym import CompressionPlan, PlanError
from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError
from amc_gym._utils.files import sweep, write_whole
from benchmarks.studies import archive
from benchmarks.studies.record_schema import RecordSchema, RunSchema
from benchmarks.studies.runs import BenchmarkError, Run, Setting

FORMAT = "amc-gym run 1"
"""Records of earlier versions lack the agent's code, its arguments, and ``stopped``."""

MANIFEST = "study.manifest"
"""File of a results folder that says which runs were asked for, see `manifest`."""


LARGEST = 64 * 2**20
"""Bytes of a record; thousands of episodes of a deep network have some MiB."""


class RecordError(ValueError):
    """A file that is no finished run; the message says what is wrong with it."""


@dataclass(frozen=True)
class History:
    """Every finished episode, in order, one column per quantity.

    Attributes:
        reward: final rewards.
        accuracy: or another score, on the reward images, in [0, 1].
        macs: of the compressed network.
        params: of the compressed network.
        channels: kept channels of each unit; empty in published studies.
        seconds: since learning began.
        evaluation: which evaluations of the run they were, from 1; 1, 2, ... where an agent
            evaluated nothing on the side.
    """

    reward: list[float]
    accuracy: list[float]
    macs: list[int]
    params: list[int]
    channels: list[list[int]]
    seconds: list[float]
    evaluation: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.evaluation:
            object.__setattr__(self, "evaluation", list(range(1, len(self.reward) + 1)))

    @classmethod
    def of(cls, episodes: Iterable[Episode]) -> History:
        """Return the history of recorded episodes."""
        episodes = list(episodes)
        return cls(
            reward=[e.reward for e in episodes],
            accuracy=[e.accuracy for e in episodes],
            macs=[e.macs for e in episodes],
            params=[e.params for e in episodes],
            channels=[list(e.channels) for e in episodes],
            seconds=[round(e.seconds, 4) for e in episodes],
            evaluation=[e.evaluation for e in episodes],
        )


@dataclass(frozen=True)
class Best:
    """The plan with the highest reward.

    Attributes:
        reward: its reward.
        reward_accuracy: on the reward images, which the search saw.
        test_accuracy: on the test images, which it did not; of the built network.
        macs_ratio: its MACs as a share of the full network's.
        params_ratio: its parameters likewise.
        plan: what it keeps.
    """

    reward: float
    reward_accuracy: float
    test_accuracy: float
    macs_ratio: float
    params_ratio: float
    plan: CompressionPlan

    @property
    def kept(self) -> dict[str, int]:
        """Unit name -> channels that stay; in weight pruning, weights."""
        return self.plan.weights or {
            unit: len(channels) for unit, channels in self.plan.kept.items()
        }


@dataclass(frozen=True)
class Full:
    """The uncompressed network: accuracies and image counts, MACs, parameters, units' channels."""

    reward_accuracy: float
    reward_images: int
    test_accuracy: float
    test_images: int
    macs: int
    params: int
    channels: dict[str, int]


@dataclass(frozen=True)
class Record:
    """The outcome of one run.

    Attributes:
        run: which one.
        history: its episodes.
        best: its best plan.
        full: the network that it compressed.
        evaluations: plans evaluated, those seen before and on the side included.
        distinct: distinct plans among them.
        seconds: wall-clock of the search.
        environment_seconds: the part of it spent inside the environment, its record included.
        machine: what it ran on.
        versions: package -> version.
        date: when it ended, ISO 8601 in UTC.
        stopped: whether the agent would have gone on after its last evaluation.
    """

    run: Run
    history: History
    best: Best
    full: Full
    evaluations: int
    distinct: int
    seconds: float
    environment_seconds: float
    machine: dict[str, str | int]
    versions: dict[str, str]
    date: str
    stopped: bool = False

    @property
    def agent_seconds(self) -> float:
        """Wall-clock spent outside of the environment: what the agent itself costs."""
        return self.seconds - self.environment_seconds

    def to_json(self) -> str:
        """One line per field, so that a changed run reads well in a diff."""
        content = self.to_content()
        fields = {"format": FORMAT, "sha256": _checksum(content)} | content
        lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def to_content(self) -> dict[str, Any]:
        """Turn into a table for a file, without format and checksum."""
        content = {each.name: getattr(self, each.name) for each in fields(self)}
        del content["run"]
        content["history"] = vars(self.history)
        content["best"] = vars(self.best) | {"plan": self.best.plan.to_dict()}
        content["full"] = vars(self.full)
        return head_of(self.run) | content

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read what ``to_json`` wrote.

        Raises:
            RecordError: not JSON, no run, changed or cut short, or without a valid plan.
        """
        try:
            content = documents.parse(text)
            if isinstance(content, dict) and content.get("format") != FORMAT:
                raise RecordError(f"it is not of the format {FORMAT!r}")
            documents.check(RecordSchema, content)
            del content["format"]
            if content.pop("sha256") != _checksum(content):
                raise RecordError("it was changed since it was written")
        except DocumentError as error:
            raise RecordError(f"it is no whole record of a run: {error}") from error
        return cls._of(content)

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Record:
        """Make the record of what ``to_content`` said, which is used up.

        Raises:
            RecordError: it says no run, or one without a valid plan.
        """
        try:
            documents.check(RunSchema, content)
        except DocumentError as error:
            raise RecordError(f"it is no whole record of a run: {error}") from error
        return cls._of(content)

    @classmethod
    def _of(cls, content: dict[str, Any]) -> Record:
        """Make the record of what fits its schema."""
        try:
            plan = CompressionPlan.from_dict(content["best"]["plan"])
        except PlanError as error:
            raise RecordError(f"it is no whole record of a run: {error}") from error
        if list(plan.weights or plan.kept) != list(content["full"]["channels"]):
            raise RecordError("its best plan is one of another network")
        run = run_of(content)
        parts = {
            "history": History(**content["history"]),
            "best": Best(**content["best"] | {"plan": plan}),
            "full": Full(**content["full"]),
        }
        return cls(run=run, **content | parts)


def head_of(run: Run) -> dict[str, Any]:
    """Read the run that a file belongs to."""
    return {
        "agent": run.agent,
        "arguments": dict(run.arguments),
        "code": run.code,
        "seed": run.seed,
        "setting": asdict(run.setting),
    }


def run_of(content: dict[str, Any]) -> Run:
    """Return the run that a file belongs to; what says so is taken out of ``content``.

    Raises:
        KeyError, TypeError: ``content`` says no run.
    """
    setting = Setting(**content.pop("setting"))
    return Run(
        setting,
        content.pop("agent"),
        content.pop("seed"),
        content.pop("code", None),
        content.pop("arguments", {}),
    )


def _checksum(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


class Store:
    """A folder of records, of what is left of failed runs, and of what was asked for.

    Args:
        folder: need not exist for reading.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder, make sure that it can be written, and tidy up after killed processes.

        Raises:
            BenchmarkError: it cannot.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
            sweep(self.folder)
        except OSError as error:
            raise BenchmarkError(
                f"cannot write to the results folder {self.folder} ({error.strerror}); "
                "name another one with --out"
            ) from error

    def hear(self, run: Run, news: Sequence[Mapping[str, Any]]) -> None:
        """Learn of episodes of a run that is under way; a plain folder leaves them alone."""

    def bury(self, run: Run) -> None:
        """Learn that a run has failed; a plain folder leaves it at that."""

    def path(self, run: Run) -> Path:
        """Where the record of a run belongs."""
        return self.folder / f"{run.name}.json"

    def save(self, record: Record) -> Path:
        """Write a record; its file is either whole or not there."""
        return write_whole(self.path(record.run), record.to_json())

    def load(self) -> tuple[list[Record], dict[Path, str]]:
        """Every finished run of the folder, and every other JSON file in it with what is wrong.

        A run's own file is newer than what an archive says of it.
        """
        records, foreign = self._archived()
        for path in sorted(self.folder.glob("*.json")):
            try:
                record = Record.from_json(documents.read_text(path, LARGEST))
                if path != self.path(record.run):
                    raise RecordError(f"it is the record of {self.path(record.run).name}")
            except (RecordError, DocumentError, OSError) as error:
                foreign[path] = str(error)
            else:
                records[path.name] = record
        return [records[name] for name in sorted(records)], foreign

    def _archived(self) -> tuple[dict[str, Record], dict[Path, str]]:
        """Return the runs of the archive by the names of their files; what is wrong with it."""
        try:
            found = [Record.from_content(each) for each in archive.read(self.folder)]
        except (RecordError, DocumentError, OSError) as error:
            return {}, {self.folder / archive.FILE: str(error)}
        return {self.path(record.run).name: record for record in found}, {}
