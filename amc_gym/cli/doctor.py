"""``doctor``: installed packages, devices, data sets and caches."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import torch
from rich.table import Table

from amc_gym._utils.machine import cores, device_of, free_memory, processor
from amc_gym._utils.paths import cache_root
from amc_gym._utils.provenance import versions
from amc_gym.cli.commands import Doctor
from amc_gym.cli.console import say
from amc_gym.compression.evaluation.precision import has_bf16
from amc_gym.zoo.datasets import DATA_ROOT
from amc_gym.zoo.datasets.registry import PLACES
from amc_gym.zoo.small import store

DEVELOPERS = {"dev", "docs"}
"""Extras for checkouts, which the installed package does not need."""


def doctor(command: Doctor) -> None:
    """Show what is there and what is missing, with the line that installs it."""
    for title, rows in (
        ("installed", list(versions().items())),
        ("extras", extras()),
        ("machine", machine()),
        ("data", data(command.data_root)),
        ("caches", caches()),
    ):
        table = Table(title=title, title_justify="left", show_header=False)
        for row in rows:
            table.add_row(*row)
        say(table)


def extras() -> list[tuple[str, str]]:
    """Return each extra with its packages' versions, or with the line that installs it."""
    try:
        declared = requires("amc-gym") or []
    except PackageNotFoundError:
        return [("unknown", "amc-gym runs from a checkout that is not installed: pip install -e .")]
    needed: dict[str, list[str]] = {}
    for each in declared:
        name, extra = re.match(r"[\w.-]+", each), re.search(r"extra == [\"']([\w-]+)", each)
        if name and extra and name[0] != "amc-gym":
            needed.setdefault(extra[1], []).append(name[0])
    return [(name, _state(name, needed[name])) for name in needed if name not in DEVELOPERS]


def _state(extra: str, packages: list[str]) -> str:
    found, missing = [], []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    if extra == "weights" and missing and (store.DIRECTORY / store.WEIGHTS).exists():
        return "in this checkout"
    if missing:
        return f"missing {', '.join(missing)}: pip install 'amc-gym[{extra}]'"
    return ", ".join(found)


def machine() -> list[tuple[str, str]]:
    """Return the processor, memory, threads and devices."""
    chosen = device_of("auto")
    limit = os.environ.get("OMP_NUM_THREADS")
    rows = [
        ("processor", f"{processor()}, {cores()} cores"),
        ("free memory", _bytes(free_memory())),
        ("threads", f"{torch.get_num_threads()}, OMP_NUM_THREADS {limit or 'not set'}"),
        ("device", f'"auto" is {chosen}, bf16 {"fast" if has_bf16(chosen) else "slow"}'),
    ]
    for number in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(number)
        rows.append((f"cuda:{number}", f"{card.name}, {_bytes(card.total_memory)}"))
    return rows


def data(data_root: Path | None) -> list[tuple[str, str]]:
    """Return where each data set that is read from disk is found in a folder.

    Args:
        data_root: the folder; None: $AMC_DATA_ROOT.
    """
    named = str(data_root or os.environ.get(DATA_ROOT) or "")
    bundled = ", ".join(name for name, places in PLACES.items() if not places)
    rows = [("bundled", bundled), (DATA_ROOT, named or "not set: no data set is read from disk")]
    root = Path(named).expanduser()
    if named and not root.is_dir():
        return [*rows, ("", f"{root} is not a folder")]
    for name, places in PLACES.items():
        if named and places:
            found = next((root / place for place in places if (root / place).exists()), None)
            rows.append((name, str(found or f"not found: no {' or '.join(places)} there")))
    return rows


def caches() -> list[tuple[str, str]]:
    """Return the cache folder, its parts and their sizes."""
    root = cache_root()
    if not root.is_dir():
        return [(str(root), "empty")]
    parts = sorted(path for path in root.iterdir() if path.is_dir())
    loose = [path for path in root.iterdir() if path.is_file()]
    rows = [(part.name, _bytes(_size(part.rglob("*")))) for part in parts]
    rows.append(("decoded images", _bytes(_size(loose))))
    return [*rows, (str(root), f"{_bytes(_size(root.rglob('*')))} in all; safe to delete")]


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


def _bytes(number: int) -> str:
    value = float(number)
    for unit in ("bytes", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
