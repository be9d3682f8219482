"""Submissions of policies: policy.json and the one file that it names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from agents.policy_loaders import LOADERS, declared
from agents.step_policy import LARGEST
from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError, Name, Schema, Sha256
from amc_gym._utils.files import write_whole
from amc_gym._utils.names import choose
from benchmarks.leaderboard.submission import MOST_BYTES, SubmissionError, sha256_of
from benchmarks.studies.runs import BenchmarkError

FORMAT = "amc-gym policy 1"
FILE = "policy.json"


class PolicySubmissionSchema(Schema):
    """Schema of policy.json."""

    format: Literal["amc-gym policy 1"]
    name: Name
    authors: Annotated[list[Name], Field(min_length=1, max_length=100)]
    how: Name
    loader: Literal["amc-policy", "sb3", "onnx"]
    file: Literal["policy.safetensors", "policy.onnx"]
    sha256: Sha256


@dataclass(frozen=True)
class PolicySubmission:
    """Content of policy.json.

    Attributes:
        name: name of the row in the table.
        authors: who trained it.
        how: how it was trained, and on what, so that others can repeat it.
        loader: loader of its file, see ``agents.policy_loaders``.
        file: file of the policy, beside policy.json.
        sha256: of that file.
    """

    name: str
    authors: tuple[str, ...]
    how: str
    loader: str
    file: str
    sha256: str

    @property
    def agent(self) -> str:
        """Name of the agent that plays it."""
        return LOADERS[self.loader]

    @classmethod
    def read(cls, folder: Path) -> PolicySubmission:
        """Read a folder's submission, and check its file.

        Raises:
            SubmissionError: there is no folder or no policy.json, or one of another form; the file
                is missing, a link, too large, changed, or for another loader; or there is more.
        """
        path = folder / FILE
        if path.is_symlink() or not path.is_file():
            raise SubmissionError(f"{folder} is not a submission of a policy: it has no {FILE}")
        try:
            content = documents.read(path, MOST_BYTES)
            said = documents.check(PolicySubmissionSchema, content)
        except (DocumentError, OSError) as error:
            raise SubmissionError(f"{path} is not a submission of a policy: {error}") from error
        authors = tuple(said.authors)
        found = cls(said.name, authors, said.how, said.loader, said.file, said.sha256)
        found._check(folder)
        return found

    def _check(self, folder: Path) -> None:
        path = folder / self.file
        if path.is_symlink() or not path.is_file():
            raise SubmissionError(f"{folder}: {self.file} is missing")
        extra = sorted(each.name for each in folder.iterdir() if each.name not in (FILE, self.file))
        if extra:
            raise SubmissionError(f"{folder}: {extra[0]} is an extra file, beside {self.file}")
        try:
            content = documents.read_bytes(path, LARGEST)
            loader = declared(path)
        except (DocumentError, OSError) as error:
            raise SubmissionError(f"{folder}: {self.file} cannot be read: {error}") from error
        if sha256_of(content) != self.sha256:
            raise SubmissionError(f"{folder}: the sha256 of {self.file} is not the one in {FILE}")
        if (loader or "amc-policy") != self.loader:
            raise SubmissionError(
                f"{folder}: {self.file} is for the loader {loader or 'amc-policy'!r}, not for "
                f"{self.loader!r}"
            )


def submit_policy(
    file: Path, out: Path, authors: Sequence[str], *, name: str, how: str, loader: str = ""
) -> PolicySubmission:
    """Write a submission of a policy's file.

    Args:
        file: safetensors or ONNX.
        out: the submission's folder; new or empty.
        authors: who trained it.
        name: name of the row in the table; empty: the file's.
        how: how it was trained, and on what.
        loader: loader of the file; empty: what the file states, or else "amc-policy".

    Raises:
        BenchmarkError: ``authors`` or ``how`` is empty, or ``out`` is not empty.
        SubmissionError: the result is not a valid submission.
        ValueError: there is no such loader.
        OSError: the file cannot be read.
    """
    loader = choose("loader", loader or declared(file) or "amc-policy", LOADERS)
    if not authors:
        raise BenchmarkError("--authors names nobody")
    if not how.strip():
        raise BenchmarkError("--how is empty: say how the policy was trained, and on what")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BenchmarkError(f"{out} already exists: name a new folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    target = "policy.onnx" if file.suffix == ".onnx" else "policy.safetensors"
    shutil.copyfile(file, out / target)
    sha256 = sha256_of((out / target).read_bytes())
    made = PolicySubmission(name or file.stem, tuple(authors), how, loader, target, sha256)
    content = {"format": FORMAT} | asdict(made)
    write_whole(out / FILE, json.dumps(content, indent=1) + "\n")
    return PolicySubmission.read(out)
