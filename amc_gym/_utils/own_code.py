"""Code that is not this package's: who named it, and what becomes of what it raises.

A file never makes code run: what it names as "package.module:function" is imported only if the
user names it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amc_gym._utils.names import printable


def is_code(name: str) -> bool:
    """Whether a task's name is "package.module:function", and not that of a registered network."""
    return ":" in name


def qualified(made: object) -> str:
    """Where a user's function is, or the class of an object that can be called: module:name."""
    named: Any = made if hasattr(made, "__qualname__") else type(made)
    return f"{named.__module__}:{named.__qualname__}"


def refusal(what: str, name: str, fix: str) -> str:
    """Why a file that names code is refused, and how the user can name it.

    Args:
        what: the file or what is in it.
        name: the code that it names.
        fix: what to write to have it run.
    """
    return (
        f"{what} names the task {printable(name, 200)!r}, whose code would run: "
        f"read that code first, and if you trust it, name it yourself: {fix}"
    )


@contextmanager
def failing_as_one(what: str) -> Iterator[None]:
    """Turn whatever own code raises into one error, ``SystemExit`` included.

    Errors that say what is wrong stay as they are, and so does Ctrl-C.

    Args:
        what: the code, as the user calls it.

    Raises:
        ValueError: the code raised something; the message says what.
    """
    try:
        yield
    except (ValueError, OSError):
        raise
    except BaseException as error:
        if type(error) is KeyboardInterrupt:
            raise
        said = printable(f"{type(error).__name__}: {error}").rstrip(": ")
        raise ValueError(f"{what} failed: {said}") from error
