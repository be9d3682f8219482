"""Options of ``reset``, of which there are few: most options are keywords of ``gym.make``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from amc_gym._utils.arguments import described, shown
from amc_gym._utils.names import nearest


def reset_options(
    options: object, arguments: Iterable[str], known: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the options of a ``reset`` as a dictionary.

    Args:
        options: the user's: a mapping or None.
        arguments: keywords that the environment can be made with, for the message.
        known: options that ``reset`` takes.

    Raises:
        TypeError: ``options`` is anything else.
        ValueError: an option is unknown; the message names it and suggests the fix.
    """
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"options must be a mapping or None, not {described(options)}")
    found, known, arguments = dict(options or {}), list(known), list(arguments)
    for name in found:
        if name in known:
            continue
        taken = f"reset takes {' and '.join(map(repr, known)) or 'none'}"
        if name not in arguments and (near := nearest(name, known)) is not None:
            fix = f"did you mean {near!r}?"
        elif (near := nearest(name, arguments)) is not None:
            fix = f"{near} belongs in gym.make(..., {near}=...)"
        else:
            fix = "leave it out"
        raise ValueError(f"unknown reset option {shown(name)} in options: {taken}; {fix}")
    return found
