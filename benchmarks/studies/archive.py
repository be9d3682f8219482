"""The finished runs of a published study: one Parquet file, a row for each run.

| column     | content                                                                  |
|------------|--------------------------------------------------------------------------|
| agent      | name of the agent                                                        |
| seed       | seed of the run                                                          |
| run        | JSON: setting, agent, best plan's figures, full network, machine, ...    |
| plan       | JSON of the best plan                                                    |
| reward     | of each finished episode; missing if it equals the accuracy              |
| accuracy   | on the reward images, in [0, 1]                                          |
| macs       | MACs of the compressed network                                           |
| params     | parameters of the compressed network                                     |
| ticks      | time since learning began, in tenths of a millisecond                    |
| evaluation | number of the evaluation in the run, from 1                              |

It holds the same as the runs' own files, except the channels of plans that were not the best: these
make up half of a history, no report uses them, and the same seed finds them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError
from benchmarks.studies import columnar

FILE = "runs.parquet"

COLUMNS: columnar.Columns = {
    "agent": "text",
    "seed": "integer",
    "run": "text",
    "plan": "text",
    "reward": "reals",
    "accuracy": "reals",
    "macs": "integers",
    "params": "integers",
    "ticks": "integers",
    "evaluation": "integers",
}

TICKS = 10_000
"""Ticks in a second."""

GRAIN = 100
"""Ticks to which times are rounded: no curve shows a hundredth of a second."""


def rounded(seconds: Iterable[float]) -> list[float]:
    """Return times since learning began, rounded as in an archive."""
    return [GRAIN * round(TICKS * each / GRAIN) / TICKS for each in seconds]


def write(folder: Path, contents: Iterable[Mapping[str, Any]]) -> Path:
    """Write the archive of a folder.

    Args:
        folder: folder of the archive.
        contents: contents of the runs' files, see `records`.
    """
    return columnar.write(folder / FILE, COLUMNS, map(_row, contents))


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the contents of a folder's archived runs; nothing without an archive.

    Raises:
        DocumentError: the archive is damaged, or is not an archive.
        OSError: it cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return []
    return [_content(row) for row in columnar.read(path, COLUMNS)]


def _row(content: Mapping[str, Any]) -> dict[str, Any]:
    history, best = content["history"], dict(content["best"])
    plan = best.pop("plan")
    about = {name: value for name, value in content.items() if name != "history"} | {"best": best}
    pairs = zip(history["reward"], history["accuracy"], strict=True)
    return {
        "agent": content["agent"],
        "seed": content["seed"],
        "run": json.dumps(about, separators=(",", ":")),
        "plan": json.dumps(plan, separators=(",", ":")),
        "reward": [None if reward == accuracy else reward for reward, accuracy in pairs],
        "ticks": [round(TICKS * seconds) for seconds in rounded(history["seconds"])],
        **{name: history[name] for name in ("accuracy", "macs", "params", "evaluation")},
    }


def _content(row: Mapping[str, Any]) -> dict[str, Any]:
    content, plan = (_table(row, name) for name in ("run", "plan"))
    for name in ("reward", "accuracy", "macs", "params", "ticks", "evaluation"):
        if row[name] is None or (name != "reward" and None in row[name]):
            raise DocumentError(f"its {name} lacks values")
    if len(row["reward"]) != len(row["accuracy"]):
        raise DocumentError("it should have one value of each kind for each episode")
    pairs = zip(row["reward"], row["accuracy"], strict=True)
    content["history"] = {
        "reward": [accuracy if reward is None else reward for reward, accuracy in pairs],
        "seconds": [ticks / TICKS for ticks in row["ticks"]],
        "channels": [],
        **{name: row[name] for name in ("accuracy", "macs", "params", "evaluation")},
    }
    if not isinstance(content.get("best"), dict):
        raise DocumentError("its run names no best plan")
    content["best"]["plan"] = plan
    return content


def _table(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    if row[name] is None:
        raise DocumentError(f"its {name} is missing")
    content = documents.parse(row[name])
    if not isinstance(content, dict):
        raise DocumentError(f"its {name} should be an object")
    return content
