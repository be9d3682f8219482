"""Data sets by name.

A new one is a file in this folder with a function that ``register`` decorates; it is found by
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from amc_gym.tasks.split import Splits

DATASETS: dict[str, Callable[..., Splits]] = {}
"""Name -> function that loads it; those read from disk take the folder first, as ``root``."""

PLACES: dict[str, tuple[str, ...]] = {}
"""Name -> files or folders below ``root``, the first of which that is there is read."""

F = TypeVar("F", bound=Callable[..., Splits])


def register(name: str, places: Iterable[str] = ()) -> Callable[[F], F]:
    """Make a data set known by a name; to be used as a decorator.

    Its keyword arguments are the options in ``dataset="name?option=value"``.

    Args:
        name: what it is called.
        places: files or folders below its ``root``, the first of which that is there is read.

    Raises:
        ValueError: another one has that name.
    """

    def known(load: F) -> F:
        if name in DATASETS:
            raise ValueError(f"there is a data set {name!r} already: choose another name")
        DATASETS[name] = load
        PLACES[name] = tuple(places)
        return load

    return known
