"""Journals: the episodes of unfinished runs as lines of JSON, one file beside the records.

The first line identifies the run, each further line is a finished episode, and a last line may say
why there are no more.  Lines are written when episodes end, so that finished episodes are kept
whatever happens to the process; an incomplete line at the end is ignored.

A journal is never a result.  Reports mention it, and the run is repeated.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents import Episode
from amc_gym import CompressionPlan, PlanError
from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError
from amc_gym._utils.files import write_whole
from amc_gym._utils.names import printable
from benchmarks.studies.record_schema import EndSchema, EpisodeSchema, JournalSchema
from benchmarks.studies.records import LARGEST, RecordError, head_of, run_of
from benchmarks.studies.runs import Run

FORMAT = "amc-gym journal 1"
SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Journal:
    """The finished part of a run that ended too early.

    Attributes:
        run: the run; ``setting.episodes`` is 0 if its budget was not settled.
        rewards: of the finished episodes.
        accuracies: on the reward images.
        evaluations: number of evaluated plans.
        plan: the plan with the highest reward; ``None`` without a finished episode.
        error: why it ended, in one line; empty if unknown.
    """

    run: Run
    rewards: list[float]
    accuracies: list[float]
    evaluations: int
    plan: CompressionPlan | None
    error: str = ""

    @property
    def accuracy(self) -> float:
        """Accuracy on the reward images of the plan of highest reward; NaN without an episode."""
        if not self.rewards:
            return float("nan")
        return self.accuracies[self.rewards.index(max(self.rewards))]

    @property
    def state(self) -> str:
        """Return a description in one line."""
        budget = self.run.setting.episodes
        of = f" of {budget}" if budget else ""
        best = f", best so far {self.accuracy:.1%} on reward images" if self.rewards else ""
        ended = f"; it ended with {self.error}" if self.error else ""
        return f"{self.evaluations}{of} evaluations{best}{ended}"


def path_of(folder: Path, run: Run) -> Path:
    """Return the path of a run's journal."""
    return folder / f"{run.name}{SUFFIX}"


def first_line(run: Run) -> str:
    """Return the first line of a journal, which identifies the run."""
    return json.dumps({"format": FORMAT} | head_of(run)) + "\n"


def episode_line(episode: dict[str, Any]) -> str:
    """Return the line of one episode, made by ``entry``."""
    return json.dumps(episode) + "\n"


def last_line(error: str) -> str:
    """Return the last line, which says why there are no more."""
    return json.dumps({"error": error}) + "\n"


def entry(episode: Episode, plan: CompressionPlan | None) -> dict[str, Any]:
    """Return one episode in a form that can be sent and written.

    Args:
        episode: a finished episode.
        plan: its plan if it is the best so far, else ``None``.
    """
    found = {} if plan is None else {"plan": plan.to_dict()}
    return {
        "reward": episode.reward,
        "accuracy": episode.accuracy,
        "macs": episode.macs,
        "params": episode.params,
        "channels": list(episode.channels),
        "seconds": round(episode.seconds, 4),
        "evaluation": episode.evaluation,
    } | found


def write(folder: Path, run: Run, episodes: Iterable[dict[str, Any]], error: str) -> Path:
    """Write a whole journal, replacing an earlier one."""
    lines = [first_line(run), *map(episode_line, episodes), last_line(error)]
    return write_whole(path_of(folder, run), "".join(lines))


def read(path: Path) -> Journal:
    """Return the content of a journal.

    Raises:
        RecordError: it is not a journal.
        OSError: it cannot be read.
    """
    try:
        text = documents.read_bytes(path, LARGEST).decode(errors="replace")
        first, *lines = text.splitlines() or [""]
        head = documents.parse(first)
        if isinstance(head, dict) and head.get("format") != FORMAT:
            raise RecordError(f"it is not of the format {FORMAT!r}")
        documents.check(JournalSchema, head)
        del head["format"]
        journal = Journal(run_of(head), *_episodes(_whole(lines)))
    except (DocumentError, PlanError) as error:
        raise RecordError(f"it is not a journal of a run: {error}") from error
    if path.name != path_of(path.parent, journal.run).name:
        raise RecordError(f"it is the journal of {journal.run.name}")
    return journal


def _whole(lines: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the lines as objects, without an incomplete line at the end."""
    for i, line in enumerate(lines, start=1):
        try:
            content = documents.parse(line)
        except DocumentError:
            if i < len(lines):
                raise
        else:
            ends = isinstance(content, dict) and "error" in content
            documents.check(EndSchema if ends else EpisodeSchema, content)
            yield content


def _episodes(lines: Iterable[dict[str, Any]]) -> tuple[Any, ...]:
    """Return rewards, accuracies, evaluations, best plan and error."""
    rewards, accuracies, evaluations, plan, error = [], [], 0, None, ""
    for line in lines:
        if "error" in line:
            error = printable(line["error"])
            continue
        rewards.append(float(line["reward"]))
        accuracies.append(float(line["accuracy"]))
        evaluations = line["evaluation"]
        plan = line.get("plan", plan)
    best = None if plan is None else CompressionPlan.from_dict(plan)
    return rewards, accuracies, evaluations, best, error


def discard(folder: Path, run: Run) -> None:
    """Remove the journals of a finished run, including those of the agent's earlier code."""
    for path in folder.glob(f"*{SUFFIX}"):
        with suppress(RecordError, OSError):
            if read(path).run.place == run.place:
                path.unlink()


def load(folder: Path) -> tuple[list[Journal], dict[Path, str]]:
    """Return every unfinished run of a folder, and every other .jsonl file with the reason."""
    journals, foreign = [], {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            journal = read(path)
        except (RecordError, OSError) as error:
            foreign[path] = str(error)
        else:
            # A process killed just after it finished leaves both files.
            if not path.with_suffix(".json").exists():
                journals.append(journal)
    return journals, foreign
