"""The manifest of a results folder: which runs were requested, which tells whether it is finished.

The JSON file maps each run's place, its key without the agent's code, to the name of its record.
So a run that is requested again after its agent has changed replaces the earlier one.
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
    """Return place -> record name of every requested run; empty without a manifest."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    runs = content.get("runs") if isinstance(content, dict) else None
    if not isinstance(runs, dict) or content.get("format") != FORMAT:
        return {}
    return {place: name for place, name in runs.items() if isinstance(name, str)}


def ask(folder: Path, runs: Iterable[Run]) -> None:
    """Add runs to the requested ones."""
    before = asked(folder)
    now = before | {run.place: run.name for run in runs}
    if now != before:
        text = json.dumps({"format": FORMAT, "runs": dict(sorted(now.items()))}, indent=1)
        write_whole(folder / MANIFEST, text + "\n")


def current(folder: Path, records: Iterable[Record]) -> list[Record]:
    """Return the records without those that a later request has replaced."""
    places = asked(folder)
    return [each for each in records if places.get(each.run.place, each.run.name) == each.run.name]


def replaced(folder: Path, records: Iterable[Record]) -> bool:
    """Return whether a later request has replaced any of the records."""
    records = list(records)
    return len(current(folder, records)) < len(records)


def missing(folder: Path, finished: Iterable[str]) -> list[str]:
    """Return the names of requested runs that are not among the ``finished`` ones."""
    return sorted(set(asked(folder).values()) - set(finished))
