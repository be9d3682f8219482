"""The registry of objectives, and the conversion of your own losses and scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from amc_gym._utils.arguments import described
from amc_gym._utils.names import choose
from amc_gym.tasks.objectives.objective import Objective
from amc_gym.tasks.objectives.own import own

OBJECTIVES: dict[str, Callable[..., Objective]] = {}
"""Name -> function that makes the objective; its arguments are options with defaults."""

F = TypeVar("F", bound=Callable[..., Objective])


def register(make: F) -> F:
    """Register an objective by the name of the function that makes it; use as a decorator.

    Raises:
        ValueError: another objective has that name.
    """
    name = make.__name__
    if OBJECTIVES.setdefault(name, make) is not make:
        raise ValueError(f"there is an objective {name!r} already: choose another name")
    return make


def objective_of(value: Any) -> Objective:
    """Return the objective for a name, a function that makes one, or a pair (loss, score).

    Raises:
        TypeError: it is none of these.
        ValueError: the name is unknown.
    """
    if isinstance(value, Objective):
        return value
    if isinstance(value, str):
        return OBJECTIVES[choose("objective", value, OBJECTIVES)]()
    if isinstance(value, tuple) and len(value) == 2:
        return own(*value)
    for make in OBJECTIVES.values():
        if make is value:
            return make()
    known = ", ".join(OBJECTIVES)
    raise TypeError(
        f"objective must be one of {known}, an amc_gym.Objective or a pair (loss, score) of "
        f"functions of (outputs, targets), not {described(value)}"
    )
