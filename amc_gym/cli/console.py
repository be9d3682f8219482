"""Parts that commands share: printing of results, checks of outputs, and errors."""

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
"""Width of tables that are not printed to a terminal; rich would use 80 and cut cells."""


class CommandError(Exception):
    """A command's own failure, shown to the user as one line.

    Args:
        said: the line.
        status: exit status.
    """

    def __init__(self, said: str, status: int = 1) -> None:
        super().__init__(said)
        self.status = status


def printer(*, markup: bool = True) -> Console:
    """Return standard output, with enough width for tables if it is not a terminal.

    Args:
        markup: whether [bold] and the like in the output are instructions for rich.
    """
    known_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if known_width else WIDTH, markup=markup, emoji=markup)


def say(what: str | Table) -> None:
    """Print a result on stdout: a table, or a line that is not broken or coloured.

    Names in it may come from others, so nothing in them is an instruction to the terminal.
    """
    if isinstance(what, str):
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in what)
        printer(markup=False).print(line, highlight=False, soft_wrap=True)
        return
    for column in what.columns:
        column.overflow = "fold"  # a wide cell is wrapped, because half of it would be useless
    printer(markup=False).print(what)


def watched() -> bool:
    """Return whether a progress bar would be seen."""
    return sys.stderr.isatty()


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that turns every failure, also of the user's own code, into an error.

    ``SystemExit`` from a user's module or network must not look like success.

    Raises:
        CommandError: something was raised that is neither an ``Exception`` nor Ctrl-C.
    """

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except BaseException as error:
            if isinstance(error, Exception) or type(error) is KeyboardInterrupt:
                raise
            said = printable(f"{type(error).__name__}: {error}").rstrip(": ")
            raise CommandError(f"the code that this command ran raised {said}") from error

    return run


def own_code(name: str) -> str:
    """Import the module of a "package.module:function" that the user typed.

    From then on, modules in the current folder are found after the installed ones, so that files in
    it do not replace packages.

    Raises:
        CommandError: it is not such a name.
        ValueError: its module cannot be imported.
    """
    module = name.partition(":")[0]
    if not is_code(name) or not module:
        raise CommandError(f"{name} is not a package.module:function")
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
    """Refuse an output that exists or cannot be written, before any work is done.

    Raises:
        CommandError: the output is refused; the message names the fix.
    """
    if suffixes and out.suffix not in suffixes:
        raise CommandError(f"{out} must end in {' or '.join(suffixes)}")
    pair = out.suffix == ".safetensors"
    for file in (out, description_of(out)) if pair else (out,):
        if file.is_dir():
            raise CommandError(f"{file} is a folder: name a file in it")
    taken = in_the_way(out) if pair else (out if out.exists() else None)
    if taken and not force:
        raise CommandError(f"{taken} exists: name another file, or use --force to replace it")
    if not out.absolute().parent.is_dir():
        raise CommandError(f"there is no folder {out.absolute().parent}: create it first")
