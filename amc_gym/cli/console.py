"""Parts that commands share: where results go, what they refuse, and how they fail."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from amc_gym._utils.names import printable
from amc_gym._utils.own_code import failing_as_one, is_code
from amc_gym.compression.handover.pair import description_of, in_the_way

WIDTH = 160
"""Columns of a table that no terminal limits; rich would take 80 and cut its cells."""


class CommandError(Exception):
    """A command's own failure: one line for the user.

    Args:
        said: the line.
        status: of the exit.
    """

    def __init__(self, said: str, status: int = 1) -> None:
        super().__init__(said)
        self.status = status


def printer(*, markup: bool = True) -> Console:
    """Return standard output; a table has room where no terminal says how wide it is, as in a log.

    Args:
        markup: whether [bold] and the like in what is printed are rich's instructions.
    """
    told = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if told else WIDTH, markup=markup, emoji=markup)


def say(what: str | Table) -> None:
    """Print a result on stdout: a table, or a line that is not broken or coloured.

    Names in it are somebody's own: nothing in them is an instruction to the terminal.
    """
    if isinstance(what, str):
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in what)
        printer(markup=False).print(line, highlight=False, soft_wrap=True)
        return
    for column in what.columns:
        column.overflow = "fold"  # a cell that is too wide goes on below; half says nothing
    printer(markup=False).print(what)


def watched() -> bool:
    """Whether somebody sees a progress bar."""
    return sys.stderr.isatty()


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command whose every failure is one, that of the user's own code included.

    ``SystemExit`` from a module or a network must not look like success.

    Raises:
        CommandError: what was raised is neither an ``Exception`` nor Ctrl-C.
    """

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except BaseException as error:
            if isinstance(error, Exception) or type(error) is KeyboardInterrupt:
                raise
            said = printable(f"{type(error).__name__}: {error}").rstrip(": ")
            raise CommandError(f"code that was run for this command raised {said}") from error

    return run


def own_code(name: str) -> str:
    """Import the module of a "package.module:function" that the user typed.

    Modules in the current folder are found from now on, after the installed ones: files that lie
    there are not imported in place of a package.

    Raises:
        CommandError: it is no such name.
        ValueError: its module cannot be imported.
    """
    module = name.partition(":")[0]
    if not is_code(name) or not module:
        raise CommandError(f"{name} is no package.module:function")
    here = os.getcwd()
    with failing_as_one(f"task {name!r}"):
        beside = here not in sys.path
        if beside:
            sys.path.insert(0, here)
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ValueError(f"{name} cannot be imported: {error}") from error
        finally:
            if beside:
                sys.path.remove(here)
                sys.path.append(here)
    return name


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
