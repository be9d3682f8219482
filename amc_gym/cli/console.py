"""What the commands share: where results go, and what they refuse."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from amc_gym.compression.handover.export import description_of


class CommandError(Exception):
    """A command's own failure: one line for the user."""


def say(what: str | Table) -> None:
    """Print a result on stdout; piped, a table takes the width that it needs."""
    console = Console(highlight=False, soft_wrap=isinstance(what, str))
    if isinstance(what, Table) and not console.is_terminal:
        console.width = 160
    console.print(what, markup=False) if isinstance(what, str) else console.print(what)


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
    beside = [description_of(out)] if out.suffix == ".safetensors" else []
    for file in (out, *beside):
        if file.is_dir():
            raise CommandError(f"{file} is a folder: name a file in it")
        if file.exists() and not force:
            raise CommandError(f"{file} exists: name another file, or say --force to replace it")
    if not out.absolute().parent.is_dir():
        raise CommandError(f"there is no folder {out.absolute().parent}: make it first")
