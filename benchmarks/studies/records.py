"""A finished run as a JSON file, and a folder of them.

A file counts only if it is complete: it is written beside its place and moved there in one step, it
has its run's name, and its content matches the checksum in it.  Unfinished runs have other files,
see `journals`.  Runs of a published study share one file, see `archive`.
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
"""Format of the files; records of earlier versions lack code, arguments and ``stopped``."""

MANIFEST = "study.manifest"
"""File of a results folder that lists the requested runs, see `manifest`."""


LARGEST = 64 * 2**20
"""Most bytes of a record; thousands of episodes of a deep network take some MiB."""


class RecordError(ValueError):
    """Raised for a file that is not a finished run; the message says what is wrong with it."""


@dataclass(frozen=True)
class History:
    """Every finished episode, in order, one column per quantity.

    Attributes:
        reward: final rewards.
        accuracy: or another score, on the reward images, in [0, 1].
        macs: MACs of the compressed network.
        params: parameters of the compressed network.
        channels: kept channels of each unit; empty in published studies.
        seconds: since learning began.
        evaluation: numbers of the evaluations in the run, from 1; 1, 2, ... unless an agent
            evaluated plans outside of episodes.
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
        test_accuracy: of the built network, on the test images, which the search did not see.
        macs_ratio: its MACs as a share of the full network's.
        params_ratio: its parameters likewise.
        plan: the plan.
    """

    reward: float
    reward_accuracy: float
    test_accuracy: float
    macs_ratio: float
    params_ratio: float
    plan: CompressionPlan

    @property
    def kept(self) -> dict[str, int]:
        """Unit name -> number of kept channels; in weight pruning, weights."""
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
    """The result of one run.

    Attributes:
        run: the run.
        history: its episodes.
        best: its best plan.
        full: the network that it compressed.
        evaluations: evaluated plans, including repeated ones and those outside of episodes.
        distinct: distinct plans among them.
        seconds: wall-clock time of the search.
        environment_seconds: part of it inside the environment, including the recording.
        machine: machine that it ran on.
        versions: package -> version.
        date: when it ended, ISO 8601 in UTC.
        stopped: whether the agent was stopped after its last evaluation.
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
        """Wall-clock time outside of the environment, which is the cost of the agent itself."""
        return self.seconds - self.environment_seconds

    def to_json(self) -> str:
        """Return JSON with one line per field, so that diffs are readable."""
        content = self.to_content()
        fields = {"format": FORMAT, "sha256": _checksum(content)} | content
        lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def to_content(self) -> dict[str, Any]:
        """Return the content for a file, without format and checksum."""
        content = {each.name: getattr(self, each.name) for each in fields(self)}
        del content["run"]
        content["history"] = vars(self.history)
        content["best"] = vars(self.best) | {"plan": self.best.plan.to_dict()}
        content["full"] = vars(self.full)
        return head_of(self.run) | content

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Make a record from the result of ``to_json``.

        Raises:
            RecordError: it is not JSON or not a run, was changed or cut short, or has no valid
                plan.
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
            raise RecordError(f"it is not a complete record of a run: {error}") from error
        return cls._of(content)

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Record:
        """Make a record from the result of ``to_content``, which is consumed.

        Raises:
            RecordError: it is not a run, or one without a valid plan.
        """
        try:
            documents.check(RunSchema, content)
        except DocumentError as error:
            raise RecordError(f"it is not a complete record of a run: {error}") from error
        return cls._of(content)

    @classmethod
    def _of(cls, content: dict[str, Any]) -> Record:
        """Make a record from content that fits its schema."""
        try:
            plan = CompressionPlan.from_dict(content["best"]["plan"])
        except PlanError as error:
            raise RecordError(f"it is not a complete record of a run: {error}") from error
        if list(plan.weights or plan.kept) != list(content["full"]["channels"]):
            raise RecordError("its best plan belongs to another network")
        run = run_of(content)
        parts = {
            "history": History(**content["history"]),
            "best": Best(**content["best"] | {"plan": plan}),
            "full": Full(**content["full"]),
        }
        return cls(run=run, **content | parts)


def head_of(run: Run) -> dict[str, Any]:
    """Return the entries that identify a run in a file."""
    return {
        "agent": run.agent,
        "arguments": dict(run.arguments),
        "code": run.code,
        "seed": run.seed,
        "setting": asdict(run.setting),
    }


def run_of(content: dict[str, Any]) -> Run:
    """Return the run that a file belongs to, and remove its entries from ``content``.

    Raises:
        KeyError, TypeError: ``content`` does not identify a run.
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
    """A folder of records, journals of unfinished runs, and a manifest of requested runs.

    Args:
        folder: the folder, which need not exist for reading.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Create the folder, check that it can be written, and clean up after killed processes.

        Raises:
            BenchmarkError: it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
            sweep(self.folder)
        except OSError as error:
            raise BenchmarkError(
                f"cannot write to the results folder {self.folder} ({error.strerror}): choose "
                "another one with --out"
            ) from error

    def on_news(self, run: Run, news: Sequence[Mapping[str, Any]]) -> None:
        """Receive episodes of a running run; a plain folder ignores them."""

    def on_failed(self, run: Run) -> None:
        """Receive the news that a run has failed; a plain folder ignores it."""

    def path(self, run: Run) -> Path:
        """Return the path of a run's record."""
        return self.folder / f"{run.name}.json"

    def save(self, record: Record) -> Path:
        """Write a record, completely or not at all."""
        return write_whole(self.path(record.run), record.to_json())

    def load(self) -> tuple[list[Record], dict[Path, str]]:
        """Return every finished run of the folder, and every other JSON file with the reason.

        A run's own file takes precedence over an archive.
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
        """Return the runs of the archive by the names of their files, and what is wrong with it."""
        try:
            found = [Record.from_content(each) for each in archive.read(self.folder)]
        except (RecordError, DocumentError, OSError) as error:
            return {}, {self.folder / archive.FILE: str(error)}
        return {self.path(record.run).name: record for record in found}, {}
