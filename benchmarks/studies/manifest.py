"""Which runs a results folder was asked for, so that a study can be told finished or not.

The file, JSON, maps each run's place, its key without the agent's code, to the name of its record.
So a run that is asked for again after its agent was changed takes the place of the one before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from amc_gym._utils.files import write_whole
from benchmarks.studies.records import MANIFEST, Record
from benchmarks.studies.runs import Run

FORMAT = "amc-gym study 1"


def asked(folder: Path) -> dict[str, str]:
    """Place -> name of the record of every run that was asked for; empty where nobody says."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    runs = content.get("runs") if isinstance(content, dict) else None
    if not isinstance(runs, dict) or content.get("format") != FORMAT:
        return {}
    return {place: name for place, name in runs.items() if isinstance(name, str)}


def ask(folder: Path, runs: Iterable[Run]) -> None:
    """Add runs to those that were asked for."""
    before = asked(folder)
    now = before | {run.place: run.name for run in runs}
    if now != before:
        text = json.dumps({"format": FORMAT, "runs": dict(sorted(now.items()))}, indent=1)
        write_whole(folder / MANIFEST, text + "\n")


def current(folder: Path, records: Iterable[Record]) -> list[Record]:
    """Return the records without those of an agent's earlier code, where it was asked for again."""
    places = asked(folder)
    return [each for each in records if places.get(each.run.place, each.run.name) == each.run.name]


def replaced(folder: Path, records: Iterable[Record]) -> bool:
    """Whether there are records that another one was asked for in place of."""
    records = list(records)
    return len(current(folder, records)) < len(records)


def missing(folder: Path, finished: Iterable[str]) -> list[str]:
    """Names of the runs that were asked for and are not among the ``finished`` ones."""
    return sorted(set(asked(folder).values()) - set(finished))
