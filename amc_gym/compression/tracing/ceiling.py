"""ReLUs under any name: operations that clip values to between 0 and a ceiling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

BOUNDS: Mapping[str, tuple[float | None, float | None]] = {
    "relu": (0, inf),
    "relu6": (0, 6),
    "hardtanh": (-1, 1),
    "clamp": (None, None),
    "clamp_min": (None, inf),
}
"""Operation -> its default bounds."""


def ceiling_of(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> float | None:
    """Return the ceiling of a ReLU: infinite, or 6 for ReLU6; ``None`` for other operations.

    Args:
        name: of the operation, such as "hardtanh_".
        args: positional arguments, the tensor first.
        kwargs: keyword arguments.
    """
    bounds = BOUNDS.get(name.removesuffix("_"))
    if bounds is None:
        return None
    given = [args[i] if len(args) > i else None for i in (1, 2)]
    for i, words in enumerate((("min", "min_val"), ("max", "max_val"))):
        given[i] = next((kwargs[word] for word in words if word in kwargs), given[i])
    low, high = (own if one is None else one for one, own in zip(given, bounds, strict=True))
    numbers = isinstance(low, int | float) and isinstance(high, int | float | None)
    if not numbers or low != 0 or (high is not None and high <= 0):
        return None
    return inf if high is None else float(high)
