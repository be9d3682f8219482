"""What is handed in: submission.json and the plans that it lists."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.studies.runs import BenchmarkError

FORMAT = "amc-gym submission 1"
FILE = "submission.json"
PLAN_FILE = re.compile(r"plans/[A-Za-z0-9_+-][A-Za-z0-9_.+-]*\.json")
"""Inside the folder, with no way out of it."""

MOST_BYTES = 50_000_000
"""Of a file that is read; a plan of ResNet-50 has less than 1 MB."""

_LONGEST = 500  # characters of a text; it becomes a cell of a table


class SubmissionError(BenchmarkError):
    """A folder that is no submission; the message says what is missing."""


@dataclass(frozen=True)
class Entry:
    """One plan.

    Attributes:
        file: "plans/NAME.json".
        seed: of the search that found it; each seed once.
        evaluations: finished plans that this search spent.
        sha256: of the file.
    """

    file: str
    seed: int
    evaluations: int
    sha256: str


@dataclass(frozen=True)
class Submission:
    """What submission.json says.

    Attributes:
        name: of the row in the table.
        authors: who found the plans.
        agent: the algorithm's name.
        how: how they were found, so that others can do it again.
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
        """Write submission.json; the plans are written by others."""
        path = folder / FILE
        content = {"format": FORMAT} | asdict(self)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def read(cls, folder: Path) -> Submission:
        """What a folder says of itself; nothing of it is checked but its form.

        Raises:
            SubmissionError: no folder, no submission.json, or one of another form.
        """
        path = folder / FILE
        if path.is_symlink() or not path.is_file():
            raise SubmissionError(f"{folder} is no submission: it has no {FILE}")
        try:
            content = json.loads(read_limited(path).decode())
            if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
                raise ValueError(f"its format is not {FORMAT!r}")
            return cls._from(content)
        except (ValueError, TypeError, RecursionError, OSError) as error:
            raise SubmissionError(f"{path} is no submission: {error}") from error

    @classmethod
    def _from(cls, content: Mapping[str, Any]) -> Submission:
        if not isinstance(content.get("authors"), list) or not content["authors"]:
            raise ValueError("authors must be a list of names")
        if not isinstance(content.get("options"), dict):
            raise ValueError("options must be those of the environment, by name")
        if not isinstance(content.get("plans"), list) or not content["plans"]:
            raise ValueError("plans must list at least one plan")
        plans = tuple(Entry(**entry) for entry in content["plans"])
        made = cls(**dict(content) | {"authors": tuple(content["authors"]), "plans": plans})
        for text in (made.name, *made.authors, made.agent, made.how, made.env, made.dataset):
            _check_text(text)
        _check_text(made.weights)
        for entry in plans:
            _check_entry(entry)
        for what in ("file", "seed"):
            if len({getattr(entry, what) for entry in plans}) < len(plans):
                raise ValueError(f"plans list a {what} twice")
        return made


def _check_text(text: Any) -> None:
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise ValueError(f"a text must be one line and not empty, not {text!r:.80}")
    if len(text) > _LONGEST:
        raise ValueError(f"a text has more than {_LONGEST} characters: {text[:40]!r}...")


def _check_entry(entry: Entry) -> None:
    if not isinstance(entry.file, str) or not PLAN_FILE.fullmatch(entry.file):
        raise ValueError(f"a plan's file must be plans/NAME.json, not {entry.file!r:.80}")
    for what, least in (("seed", 0), ("evaluations", 1)):
        value = getattr(entry, what)
        if type(value) is not int or value < least:
            raise ValueError(f"{entry.file}: {what} must be a whole number from {least}")
    if not isinstance(entry.sha256, str):
        raise ValueError(f"{entry.file}: sha256 must be a text")


def read_limited(path: Path) -> bytes:
    """The content of a file that somebody else made.

    Raises:
        ValueError: it is too large to be what it should be.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{path.name} has {size:,} bytes, more than {MOST_BYTES:,}")
    return path.read_bytes()


def sha256_of(content: bytes) -> str:
    """As it stands in an entry."""
    return hashlib.sha256(content).hexdigest()
