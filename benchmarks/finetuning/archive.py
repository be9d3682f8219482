"""The outcomes of a published fine-tuning: one Parquet file, a row for each network.

| column          | content                                                       |
|-----------------|---------------------------------------------------------------|
| name            | name of the outcome                                           |
| agent           | agent that found the plan, or the full network                |
| search_seed     | seed of the run that found the plan                           |
| finetuning_seed | seed of order and augmentation                                |
| about           | JSON: recipe, sizes, machine, ... ; see `outcomes`            |
| plan            | JSON of the plan; missing for the full network                |
| plan_file       | file of the plan in the folder, if it is not in ``plan``       |
| wrong_before    | numbers of the test images that are wrong before, ascending   |
| wrong_after     | and after fine-tuning                                         |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError
from benchmarks.studies import columnar

FILE = "outcomes.parquet"

PLAN_FILE = re.compile(r"plans/[\w+-][\w.+-]{0,199}\.json")
"""Pattern of plan files, which cannot point outside of the folder."""

COLUMNS: columnar.Columns = {
    "name": "text",
    "agent": "text",
    "search_seed": "integer",
    "finetuning_seed": "integer",
    "about": "text",
    "plan": "text",
    "plan_file": "text",
    "wrong_before": "integers",
    "wrong_after": "integers",
}

KEY = ("name", "agent", "search_seed", "finetuning_seed")
SIDES = {"before": "wrong_before", "after": "wrong_after"}


def write(folder: Path, contents: Iterable[Mapping[str, Any]], files: Mapping[str, str]) -> Path:
    """Write the archive of a folder.

    Args:
        folder: folder of the archive.
        contents: contents of the outcomes' files, see `outcomes`.
        files: name of an outcome -> file of its plan in the folder, if there is one.
    """
    rows = [_row(content, files.get(content["name"])) for content in contents]
    return columnar.write(folder / FILE, COLUMNS, rows)


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the contents of a folder's archived outcomes; nothing without an archive.

    Raises:
        DocumentError: the archive, or the file of one of its plans, is damaged.
        OSError: it cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return []
    return [_content(row, folder) for row in columnar.read(path, COLUMNS)]


def _row(content: Mapping[str, Any], file: str | None) -> dict[str, Any]:
    row = {name: content[name] for name in KEY}
    plan, about = content["plan"], {}
    for name, value in content.items():
        if name in SIDES:
            row[SIDES[name]] = _wrong(value)
            about[name] = {part: value[part] for part in ("images", "split")}
        elif name not in (*KEY, "plan"):
            about[name] = value
    embedded = plan is not None and file is None
    return row | {
        "about": json.dumps(about, separators=(",", ":")),
        "plan": json.dumps(plan, separators=(",", ":")) if embedded else None,
        "plan_file": file,
    }


def _content(row: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    about = documents.parse(row["about"] or "")
    if not isinstance(about, dict):
        raise DocumentError("its about should be an object")
    for side, column in SIDES.items():
        if not isinstance(about.get(side), dict) or row[column] is None:
            raise DocumentError(f"its {side} is missing")
        about[side]["hex"] = _hex(row[column], about[side].get("images"))
    file, plan = row["plan_file"], row["plan"]
    if file is not None:
        if not PLAN_FILE.fullmatch(file):
            raise DocumentError("its plan_file should be a file in plans")
        if not (folder / file).exists():
            raise DocumentError(f"{file} is missing beside it: copy the folder as a whole")
        plan = documents.read(folder / file)
    elif plan is not None:
        plan = documents.parse(plan)
    return {name: row[name] for name in KEY} | about | {"plan": plan}


def _wrong(bits: Mapping[str, Any]) -> list[int]:
    packed = np.frombuffer(bytes.fromhex(bits["hex"]), dtype=np.uint8)
    return np.flatnonzero(np.unpackbits(packed, count=bits["images"]) == 0).tolist()


def _hex(wrong: list[int | None], images: Any) -> str:
    """Return the correct images as hexadecimal bits, see `outcomes.Bits`.

    Raises:
        DocumentError: the numbers do not ascend within the images.
    """
    if type(images) is not int or not 0 < images <= columnar.LARGEST:
        raise DocumentError("its images should be a number")
    numbers = [-1 if number is None else number for number in wrong]
    ends = [-1, *numbers, images]
    if any(low >= high for low, high in pairwise(ends)):
        raise DocumentError(f"its wrong images should ascend within {images}")
    right = np.ones(images, dtype=np.uint8)
    right[numbers] = 0
    return np.packbits(right).tobytes().hex()
