"""Finished results become committed ones: copied as a whole, or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.studies import journals, manifest
from benchmarks.studies.records import Store
from benchmarks.studies.runs import BenchmarkError

RECORD = re.compile(r".+-seed\d+-[0-9a-f]{12}\.json")
"""What records are called."""

UNFINISHED = (".pt", ".partial")
"""Ends of files that are there only while something is under way."""

SHOWN = 5
"""Names that a message lists."""


def publish(run: Path, name: str, to: Path, *, replace: bool = False) -> Path:
    """Copy a results folder and all that lies below it, but for what git ignores.

    Args:
        run: the results folder.
        name: of the copy; a path of several names makes folders.
        to: where the copy goes.
        replace: whether a folder of that name is replaced.

    Returns:
        The copy's folder.  Nothing is written where it has all of it already.

    Raises:
        BenchmarkError: there is nothing finished, something is unfinished, or the copy would
            change what is there.
    """
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or {"..", "."} & set(parts):
        raise BenchmarkError(f"--name must be a folder's name below {to}, not {name!r}")
    target = to / name
    _check(run, target)
    files = {path.relative_to(run): path for path in _files(run)}
    there = {path.relative_to(target): path for path in _files(target)} if target.exists() else {}
    differ = sorted(
        path
        for path in {*files, *there}
        if path not in files
        or path not in there
        or files[path].read_bytes() != there[path].read_bytes()
    )
    if not differ:
        return target
    if there and not replace:
        raise BenchmarkError(
            f"{target} holds other results ({_some(map(str, differ))}): name another one with "
            "--name, or say --replace"
        )
    try:
        _copy(files, target)
    except OSError as error:
        raise BenchmarkError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _check(run: Path, target: Path) -> None:
    """Refuse what is not finished.

    Raises:
        BenchmarkError: the message says what is missing.
    """
    if not run.is_dir():
        raise BenchmarkError(f"{run} is no results folder")
    here, there = run.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise BenchmarkError(f"{run} cannot be copied to {target}: one lies in the other")
    finished = 0
    for folder in sorted({run, *(path.parent for path in run.rglob("*") if path.is_file())}):
        records, foreign = Store(folder).load()
        damaged = [path.name for path in foreign if RECORD.fullmatch(path.name)]
        left = [path.name for path in folder.iterdir() if path.name.endswith(UNFINISHED)]
        unfinished, broken = journals.load(folder)
        missing = manifest.missing(folder, (record.run.name for record in records))
        for names, problem in (
            (damaged, "are damaged"),
            ([journal.run.name for journal in unfinished], "are not finished"),
            ([path.name for path in broken], "are no journals of runs"),
            (left, "are left of something that is not finished"),
            (missing, "were asked for and are not there"),
        ):
            if names:
                raise BenchmarkError(
                    f"{folder} is not finished: {_some(names)} {problem}; the command that began "
                    "it goes on with it"
                )
        finished += len(records) + len(list(folder.glob("*.md")))
    if not finished:
        raise BenchmarkError(f"{run} holds no finished results")


def _files(folder: Path) -> Iterator[Path]:
    """What is committed of a folder: no pages, which are large and made anew, and no weights but
    those of networks."""
    for path in sorted(folder.rglob("*")):
        page = path.name in ("report.html", "pareto.html")
        left = path.name.endswith((*UNFINISHED, journals.SUFFIX))
        weights = path.suffix == ".safetensors" and path.name.startswith("stage-")
        bare = weights and path.parent.name != "networks"
        if path.is_file() and not (page or left or bare):
            yield path


def _copy(files: dict[Path, Path], target: Path) -> None:
    """Put the files in place of what is there, as a whole: they are copied beside it first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f"{target.name}.{os.getpid()}.partial")
    old = target.with_name(f"{target.name}.{os.getpid()}.old.partial")
    try:
        for path, source in files.items():
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, new / path)
        if target.exists():
            target.rename(old)
        new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        elif old.exists():
            old.rename(target)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
