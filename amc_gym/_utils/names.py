"""Errors for misspelt options, and untrusted text made safe to print."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from amc_gym._utils.arguments import described, shown


def choose(what: str, name: object, available: Iterable[str]) -> str:
    """Return ``name`` as a plain string after checking that it is one of ``available``.

    Args:
        what: what is being chosen, in the user's terms: "reward", "dataset", ...
        name: the user's choice.
        available: the valid names.

    Raises:
        TypeError: ``name`` is not a string.
        ValueError: it is unknown; the message names the nearest match and all choices.
    """
    names = list(available)
    choices = ", ".join(repr(n) for n in names)
    if not isinstance(name, str):
        raise TypeError(f"{what} must be one of {choices}, not {described(name)}")
    if name in names:
        return str(name)
    near = nearest(name, names)
    hint = f" did you mean {near!r}?" if near else ""
    raise ValueError(f"unknown {what} {shown(str(name))};{hint} choose from {choices}")


def nearest(name: object, available: Iterable[str]) -> str | None:
    """Return the name that was most likely meant; ``None`` if nothing is near."""
    near = difflib.get_close_matches(str(name)[:100], list(available), n=1, cutoff=0.5)
    return near[0] if near else None


def printable(text: str, longest: int = 1000) -> str:
    """Return text as one line without escape sequences, cut off if it is too long.

    Untrusted text could otherwise clear a terminal or fill it.

    Args:
        text: any text.
        longest: most characters that are kept.
    """
    line = " ".join(text[: 4 * longest].split())
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
