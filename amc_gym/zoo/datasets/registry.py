"""Data sets by name.

A new data set is a file in this folder with a function that ``register`` decorates; it is found
automatically.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from amc_gym.tasks.split import Splits

DATASETS: dict[str, Callable[..., Splits]] = {}
"""Name -> function that loads it; those read from disk take the folder as ``root``."""

PLACES: dict[str, tuple[str, ...]] = {}
"""Name -> files or folders in ``root``, of which the first that exists is read."""

F = TypeVar("F", bound=Callable[..., Splits])


def register(name: str, places: Iterable[str] = ()) -> Callable[[F], F]:
    """Register a data set under a name; use as a decorator.

    Its keyword arguments are the options in ``dataset="name?option=value"``.

    Args:
        name: its name.
        places: files or folders in its ``root``, of which the first that exists is read.

    Raises:
        ValueError: another data set has that name.
    """

    def known(load: F) -> F:
        if name in DATASETS:
            raise ValueError(f"there is a data set {name!r} already: choose another name")
        DATASETS[name] = load
        PLACES[name] = tuple(places)
        return load

    return known
