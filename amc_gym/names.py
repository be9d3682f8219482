"""One error for every misspelt option."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def choose(what: str, name: object, available: Iterable[str]) -> str:
    """Return ``name`` if it is one of ``available``.

    Args:
        what: what is being chosen, as the user calls it: "reward", "dataset", ...
        name: the user's choice.
        available: the names that work.

    Raises:
        ValueError: naming the nearest match and every choice.
    """
    names = list(available)
    if name in names:
        return str(name)
    choices = ", ".join(repr(n) for n in names)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"unknown {what} {name!r};{hint} choose from {choices}")
