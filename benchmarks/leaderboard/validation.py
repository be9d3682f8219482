"""Validation of a submission: a verdict on every plan, and on every extra file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amc_gym import CompressionPlan, PlanError
from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError
from amc_gym._utils.names import printable
from benchmarks.leaderboard.referee import Found, Referee, RejectedError
from benchmarks.leaderboard.submission import (
    FILE,
    Entry,
    Submission,
    sha256_of,
)


@dataclass(frozen=True)
class Verdict:
    """The verdict on one plan, or on a file of the folder.

    Attributes:
        file: path in the folder.
        reason: why it is rejected; empty if it is accepted.
        found: results of its replay, if it is accepted.
    """

    file: str
    reason: str = ""
    found: Found | None = None

    @property
    def accepted(self) -> bool:
        """Whether it is accepted."""
        return not self.reason


@dataclass(frozen=True)
class Ruling:
    """The ruling on a submission.

    Attributes:
        submission: the submission.
        task: fingerprint of the registered task; empty if there is none.
        full: cost of the uncompressed network in the budget's resource; 0 likewise.
        test_images: number of images that decide the rank; 0 likewise.
        verdicts: on each plan, in order, and then on whatever else is wrong in the folder.
    """

    submission: Submission
    task: str
    full: int
    test_images: int
    verdicts: tuple[Verdict, ...]

    @property
    def accepted(self) -> bool:
        """Whether every plan counts and nothing else is wrong."""
        return all(verdict.accepted for verdict in self.verdicts)

    @property
    def found(self) -> list[Found]:
        """Results of the accepted plans."""
        return [verdict.found for verdict in self.verdicts if verdict.found is not None]


def validate(folder: Path, data_root: Path | None = None) -> Ruling:
    """Replay every plan of a submission.

    Args:
        folder: the submission.
        data_root: folder of data sets that are read from disk.

    Raises:
        SubmissionError: the folder is not a submission.
        OSError: weights or data are missing on this machine.
    """
    submission = Submission.read(folder)
    others = _strangers(folder, submission)
    try:
        referee = Referee(submission, data_root)
    except RejectedError as error:
        verdicts = [Verdict(entry.file, str(error)) for entry in submission.plans]
        return Ruling(submission, "", 0, 0, (*verdicts, *others))
    verdicts = list(_verdicts(folder, submission, referee))
    task = referee.env.task
    every = (*verdicts, *others)
    return Ruling(submission, task.fingerprint, referee.full, len(task.test), every)


def _strangers(folder: Path, submission: Submission) -> list[Verdict]:
    """Return verdicts on files and links that no entry lists."""
    listed = {FILE, *(entry.file for entry in submission.plans)}
    verdicts = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            verdicts.append(Verdict(name, "extra file: a link"))
        elif name != "plans" and name not in listed:
            verdicts.append(Verdict(name, f"extra file: {FILE} does not list it"))
    return verdicts


def _verdicts(folder: Path, submission: Submission, referee: Referee) -> Iterator[Verdict]:
    """Yield the verdict on each plan in order; a plan given for two seeds counts for the first."""
    seen: dict[str, str] = {}
    for entry in submission.plans:
        try:
            plan = _load(folder, entry)
            decided = json.dumps([plan.kept, plan.weights])
            if decided in seen:
                raise RejectedError(
                    f"the same plan as {seen[decided]}: each seed is a search of its own"
                )
            seen[decided] = entry.file
            yield Verdict(entry.file, found=referee.rule(plan))
        except RejectedError as error:
            yield Verdict(entry.file, printable(str(error)))


def _load(folder: Path, entry: Entry) -> CompressionPlan:
    path = folder / entry.file
    if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
        raise RejectedError("missing file")
    try:
        content = documents.read_bytes(path)
    except (OSError, DocumentError) as error:
        raise RejectedError(f"cannot be read: {error}") from error
    if sha256_of(content) != entry.sha256:
        raise RejectedError(f"tampered file: its sha256 is not the one in {FILE}")
    try:
        return CompressionPlan.from_json(content)
    except PlanError as error:
        raise RejectedError(str(error)) from error
