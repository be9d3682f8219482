"""Submissions of plans: submission.json and the plans that it lists."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue

from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError, Name, Natural, Positive, Schema, Sha256
from amc_gym._utils.files import write_whole
from benchmarks.studies.runs import BenchmarkError

FORMAT = "amc-gym submission 1"
FILE = "submission.json"
PLAN_FILE = r"^plans/[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,99}\.json$"
"""Pattern of plan files, which cannot point outside of the folder."""

MOST_BYTES = 2**20
"""Largest size of submission.json."""

MOST_PLANS = 1000


class SubmissionError(BenchmarkError):
    """Raised for a folder that is not a submission; the message says what is missing."""


def _each_once(entries: list[EntrySchema]) -> list[EntrySchema]:
    for what in ("file", "seed"):
        if len({getattr(entry, what) for entry in entries}) < len(entries):
            raise ValueError(f"should not list a {what} twice")
    return entries


class EntrySchema(Schema):
    """One plan of the list; see ``Entry``."""

    file: Annotated[str, Field(pattern=PLAN_FILE)]
    seed: Natural
    evaluations: Positive
    sha256: Sha256


class SubmissionSchema(Schema):
    """Schema of submission.json; its options are checked by the referee."""

    format: Literal["amc-gym submission 1"]
    name: Name
    authors: Annotated[list[Name], Field(min_length=1, max_length=100)]
    agent: Name
    how: Name
    env: Name
    dataset: Name
    weights: Name
    options: dict[Name, JsonValue]
    plans: Annotated[
        list[EntrySchema],
        Field(min_length=1, max_length=MOST_PLANS),
        AfterValidator(_each_once),
    ]


@dataclass(frozen=True)
class Entry:
    """One plan of a submission.

    Attributes:
        file: "plans/NAME.json".
        seed: seed of the search that found it; each seed once.
        evaluations: number of finished plans that this search spent.
        sha256: of the file.
    """

    file: str
    seed: int
    evaluations: int
    sha256: str


@dataclass(frozen=True)
class Submission:
    """Content of submission.json.

    Attributes:
        name: of the row in the table.
        authors: who found the plans.
        agent: the algorithm's name.
        how: how they were found, so that others can repeat it.
        env: a registered environment's id.
        dataset: its data set.
        weights: its weights, "bundled" or "torchvision".
        options: the environment's options, all of them, as resolved: ``env.unwrapped.options``.
        plans: one per seed.
    """

    name: str
    authors: tuple[str, ...]
    agent: str
    how: str
    env: str
    dataset: str
    weights: str
    options: dict[str, Any]
    plans: tuple[Entry, ...]

    def write(self, folder: Path) -> Path:
        """Write submission.json, without the plans."""
        path = folder / FILE
        content = {"format": FORMAT} | asdict(self)
        write_whole(path, json.dumps(content, indent=1) + "\n")
        return path

    @classmethod
    def read(cls, folder: Path) -> Submission:
        """Read a folder's submission, checking only its form.

        Raises:
            SubmissionError: there is no folder or no submission.json, or one of another form.
        """
        path = folder / FILE
        if path.is_symlink() or not path.is_file():
            raise SubmissionError(f"{folder} is not a submission: it has no {FILE}")
        try:
            content = documents.read(path, MOST_BYTES)
            if not isinstance(content, dict) or content.get("format") != FORMAT:
                raise DocumentError(f"its format is not {FORMAT!r}")
            said = documents.check(SubmissionSchema, content)
        except (DocumentError, OSError) as error:
            raise SubmissionError(f"{path} is not a submission: {error}") from error
        fields = {name: getattr(said, name) for name in SubmissionSchema.model_fields}
        del fields["format"]
        plans = tuple(Entry(**entry.model_dump()) for entry in said.plans)
        return cls(**fields | {"authors": tuple(said.authors), "plans": plans})


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 (hex) of content, as in an entry."""
    return hashlib.sha256(content).hexdigest()
