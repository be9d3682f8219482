"""What the commands share: where results go, and what they refuse."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from amc_gym.compression.handover.pair import description_of, in_the_way

WIDTH = 160
"""Columns of a table that no terminal limits; rich would take 80 and cut its cells."""


class CommandError(Exception):
    """A command's own failure: one line for the user."""


def printer() -> Console:
    """Standard output; a table has room where no terminal says how wide it is, as in a log."""
    told = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if told else WIDTH)


def say(what: str | Table) -> None:
    """Print a result on stdout: a table, or a line that is not broken or coloured."""
    if isinstance(what, str):
        printer().print(what, highlight=False, markup=False, soft_wrap=True)
    else:
        for column in what.columns:
            column.overflow = "fold"  # a cell that is too wide goes on below; half says nothing
        printer().print(what)


def watched() -> bool:
    """Whether somebody sees a progress bar."""
    return sys.stderr.isatty()


def refuse_to_overwrite(out: Path, *, force: bool, suffixes: Iterable[str] = ()) -> None:
    """Before any work is done: an output that exists, or that cannot be written later.

    Raises:
        CommandError: naming the way out.
    """
    if suffixes and out.suffix not in suffixes:
        raise CommandError(f"{out} must end in {' or '.join(suffixes)}")
    pair = out.suffix == ".safetensors"
    for file in (out, description_of(out)) if pair else (out,):
        if file.is_dir():
            raise CommandError(f"{file} is a folder: name a file in it")
    taken = in_the_way(out) if pair else (out if out.exists() else None)
    if taken and not force:
        raise CommandError(f"{taken} exists: name another file, or say --force to replace it")
    if not out.absolute().parent.is_dir():
        raise CommandError(f"there is no folder {out.absolute().parent}: make it first")
