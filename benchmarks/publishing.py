"""Publishing: finished results become committed ones, in compact form, completely or not at all.

Committed files are those that a reader opens: reports, tables, pictures, fine-tuned plans, and
networks that a page names.  All runs of a folder become one Parquet file, and so do all outcomes of
a fine-tuning (see `benchmarks.studies.archive` and `benchmarks.finetuning.archive`); every command
that reads results can read them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from amc_gym import CompressionPlan, PlanError
from amc_gym.compression.handover.export import description_of
from benchmarks.finetuning import archive as tuned
from benchmarks.finetuning.outcomes import FORMAT as TUNED
from benchmarks.finetuning.outcomes import Outcome, load_all
from benchmarks.studies import archive, journals, manifest
from benchmarks.studies.records import MANIFEST, Record, Store
from benchmarks.studies.runs import BenchmarkError

RECORD = re.compile(r".+-seed\d+-[0-9a-f]{12}\.json")
"""Pattern of the names of records."""

UNFINISHED = (".pt", ".checkpoint", ".partial")
"""Suffixes of files that exist only while something is running."""

PAGES = ("report.html", "pareto.html")
"""Large pages that can be made again from the rest."""

SHOWN = 5
"""Most names that a message lists."""

MOST_PLANS = 20
"""Most plans of a fine-tuning that stay files for readers; more go into the archive."""


def publish(
    run: Path, name: str, to: Path, *, replace: bool = False, networks: Sequence[str] = ()
) -> Path:
    """Copy a results folder and its subfolders in compact form.

    Args:
        run: the results folder.
        name: name of the copy, possibly with several parts.
        to: parent folder of the copy.
        replace: whether to replace a folder of that name.
        networks: files of networks in ``run`` that are copied, too; others can be made again from
            their plan and recipe.

    Returns:
        The copy's folder.  Nothing is written if it is complete already.

    Raises:
        BenchmarkError: nothing is finished, something is unfinished, or the copy would
            change existing results.
    """
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or {"..", "."} & set(parts):
        raise BenchmarkError(f"--name must be the name of a folder in {to}, not {name!r}")
    target = to / name
    _check(run, target)
    if missing := [each for each in networks if not (run / each).is_file()]:
        raise BenchmarkError(f"{run} holds no network {_some(missing)}")
    kept = {run / each for each in networks}
    try:
        with _beside(target) as new:
            for folder in _folders(run):
                _write(folder, new / folder.relative_to(run), kept)
            differ = _differing(new, target)
            if differ and target.exists() and not replace:
                raise BenchmarkError(
                    f"{target} holds other results ({_some(differ)}): name another one with "
                    "--name, or say --replace"
                )
            if differ:
                _put(new, target)
    except OSError as error:
        raise BenchmarkError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _check(run: Path, target: Path) -> None:
    """Refuse a folder that is not finished.

    Raises:
        BenchmarkError: it is not finished; the message says what is missing.
    """
    if not run.is_dir():
        raise BenchmarkError(f"{run} is not a results folder")
    here, there = run.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise BenchmarkError(f"{run} cannot be copied to {target}: one lies in the other")
    finished = 0
    for folder in _folders(run):
        records, foreign = Store(folder).load()
        named = (path for path in foreign if RECORD.fullmatch(path.name))
        damaged = [path.name for path in named if not _is_plan(path)]
        damaged += [path.name for path in foreign if path.name == archive.FILE]
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


def _folders(run: Path) -> list[Path]:
    """Return the folder itself, and all its subfolders that hold files."""
    return sorted({run, *(path.parent for path in run.rglob("*") if path.is_file())})


def _write(folder: Path, to: Path, networks: set[Path]) -> None:
    """Write one folder in compact form."""
    records, _ = Store(folder).load()
    outcomes = _outcomes(folder)
    inside = {Store(folder).path(record.run).name for record in records}
    inside |= {f"{outcome.name}.json" for outcome in outcomes}
    inside |= {archive.FILE, tuned.FILE}
    if not manifest.replaced(folder, records):
        inside.add(MANIFEST)  # it says nothing beyond the records
    if folder.name == "plans":
        archived = not _few(folder) if _outcomes(folder.parent) else Store(folder.parent).load()[0]
        if archived:
            return  # the outcomes or the runs hold them
    for path in _files(folder, networks):
        if path.name not in inside:
            to.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to / path.name)
    if records:
        _archive(records, to)
    if outcomes:
        _archive_outcomes(outcomes, folder, to, networks)


def _files(folder: Path, networks: set[Path]) -> Iterator[Path]:
    """Yield the files to copy: without pages that can be made again, with requested weights."""
    kept = networks | {description_of(path) for path in networks}
    for path in sorted(folder.iterdir()):
        left = path.name in PAGES or path.name.endswith((*UNFINISHED, journals.SUFFIX))
        weights = ".safetensors" in path.suffixes and path not in kept
        if path.is_file() and not (left or weights):
            yield path


def _archive(records: Sequence[Record], to: Path) -> None:
    """Write the records as one file, and check that it holds the same.

    Raises:
        BenchmarkError: it does not, for example because of a history of another precision.
    """
    to.mkdir(parents=True, exist_ok=True)
    archive.write(to, [record.to_content() for record in records])
    histories = [
        replace(each.history, channels=[], seconds=archive.rounded(each.history.seconds))
        for each in records
    ]
    expected = [replace(each, history=h) for each, h in zip(records, histories, strict=True)]
    if Store(to).load() != (expected, {}):
        raise BenchmarkError("the records do not fit in an archive: nothing is published")


def _archive_outcomes(
    outcomes: Sequence[Outcome], folder: Path, to: Path, networks: set[Path]
) -> None:
    """Write the outcomes as one file; plans that have files stay in them."""
    to.mkdir(parents=True, exist_ok=True)
    few = [
        outcome
        if outcome.network is None or folder / outcome.network in networks
        else replace(outcome, network=None)
        for outcome in outcomes
    ]
    files = _plan_files(few, folder / "plans")
    for file in set(files.values()):
        (to / "plans").mkdir(exist_ok=True)
        shutil.copyfile(folder / file, to / file)
    tuned.write(to, [outcome.to_content() for outcome in few], files)
    if load_all(to) != few:
        raise BenchmarkError("the outcomes do not fit in an archive: nothing is published")


def _plan_files(outcomes: Iterable[Outcome], plans: Path) -> dict[str, str]:
    """Return name of an outcome -> file of its plan, if it exists."""
    if not _few(plans):
        return {}
    found: dict[str, str] = {}
    for path in sorted(plans.glob("*.json")):
        try:
            plan = CompressionPlan.load(path)
        except (PlanError, OSError) as error:
            raise BenchmarkError(f"{path} is not a plan: {error}") from error
        for outcome in outcomes:
            if outcome.plan == plan:
                found[outcome.name] = f"plans/{path.name}"
    return found


def _is_plan(path: Path) -> bool:
    """Return whether a file is a plan, such as the best of the run that it is named after."""
    try:
        CompressionPlan.load(path)
    except (PlanError, OSError):
        return False
    return True


def _few(plans: Path) -> bool:
    return plans.is_dir() and len(list(plans.glob("*.json"))) <= MOST_PLANS


def _outcomes(folder: Path) -> list[Outcome]:
    """Return the outcomes of a folder that holds no other JSON files."""
    first = next(folder.glob("*.json"), None)
    if first is not None and TUNED not in first.read_text("utf-8", errors="replace")[:200]:
        return []
    try:
        return load_all(folder)
    except ValueError as error:
        raise BenchmarkError(str(error)) from error


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside the target for its replacement, and remove it afterwards."""
    above = [path for path in target.parents if not path.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)
        for path in above:
            if not any(path.iterdir()):
                path.rmdir()


def _put(new: Path, target: Path) -> None:
    """Replace a folder by another one."""
    old = target.with_name(f"{target.name}.{os.getpid()}.old.partial")
    try:
        if target.exists():
            target.rename(old)
        new.rename(target)
    finally:
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        elif old.exists():
            old.rename(target)


def _differing(new: Path, target: Path) -> list[str]:
    """Return the names of files that differ between two folders."""
    names = sorted(
        {
            path.relative_to(folder)
            for folder in (new, target)
            for path in folder.rglob("*")
            if path.is_file()
        }
    )
    return [str(name) for name in names if not _alike(new / name, target / name)]


def _alike(one: Path, other: Path) -> bool:
    """Return whether two files have equal content; versions of pyarrow write different bytes."""
    if not (one.is_file() and other.is_file()):
        return False
    if one.read_bytes() == other.read_bytes():
        return True
    if one.name == archive.FILE:
        return Store(one.parent).load() == Store(other.parent).load()
    return one.name == tuned.FILE and load_all(one.parent) == load_all(other.parent)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
