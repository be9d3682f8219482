"""Users' own code: who named it, and what happens to its errors.

A file never runs code: a "package.module:function" that it names is imported only if the user names
it, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amc_gym._utils.names import printable


def is_code(name: str) -> bool:
    """Return whether a name is "package.module:function" rather than a registered network's."""
    return ":" in name


def qualified(made: object) -> str:
    """Return the qualified name of a user's function, or of a callable's class: module:name."""
    named: Any = made if hasattr(made, "__qualname__") else type(made)
    return f"{named.__module__}:{named.__qualname__}"


def refusal(what: str, name: str, fix: str) -> str:
    """Return the message that refuses a file that names code, with the fix.

    Args:
        what: the file, or its content.
        name: the code that it names.
        fix: what to write to have the code run.
    """
    return (
        f"{what} names the task {printable(name, 200)!r}, whose code would run: "
        f"read that code first, and if you trust it, name it yourself: {fix}"
    )


@contextmanager
def failing_as_one(what: str) -> Iterator[None]:
    """Turn whatever user code raises, including ``SystemExit``, into one kind of error.

    Errors that already explain what is wrong are passed on, and so is Ctrl-C.

    Args:
        what: the code, in the user's terms.

    Raises:
        ValueError: the code raised anything else; the message says what.
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
