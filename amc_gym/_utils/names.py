"""One error for every misspelt option, and texts of others that are safe to print."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from amc_gym._utils.arguments import described, shown


def choose(what: str, name: object, available: Iterable[str]) -> str:
    """Return ``name`` as a plain string if it is one of ``available``.

    Args:
        what: what is being chosen, as the user calls it: "reward", "dataset", ...
        name: the user's choice.
        available: the names that work.

    Raises:
        TypeError: the choice is no string.
        ValueError: naming the nearest match and every choice.
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
    """Return the name that somebody most likely meant; ``None``: nothing is near."""
    near = difflib.get_close_matches(str(name)[:100], list(available), n=1, cutoff=0.5)
    return near[0] if near else None


def printable(text: str, longest: int = 1000) -> str:
    """Return a text as one line without escape sequences, cut where it is too long.

    What somebody else wrote could otherwise clear a terminal or fill it.

    Args:
        text: anything.
        longest: characters that are kept.
    """
    line = " ".join(text[: 4 * longest].split())
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
