"""Sparsity ratios: an action as one, and the largest of each unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from amc_gym.names import choose

MAX_SPARSITY: dict[str, float | dict[str, float]] = {
    "channel": 0.8,
    "weight": {"conv": 0.8, "linear": 0.98},
}
"""The paper's a_max (section 3.2)."""


def sparsity(action: np.ndarray) -> float:
    """The action as a ratio in [0, 1].

    Raises:
        ValueError: another shape than (1,), or NaN.
    """
    array = np.asarray(action, dtype=np.float64)
    if array.shape != (1,):
        raise ValueError(f"the action must have shape (1,), not {array.shape}")
    value = float(array[0])
    if value != value:
        raise ValueError("the action is NaN; did the agent's network diverge?")
    return min(max(value, 0.0), 1.0)


def per_unit(max_sparsity: float | Mapping[str, float], kinds: Sequence[str]) -> list[float]:
    """a_max of each unit.

    Raises:
        ValueError: a ratio outside [0, 1), or a kind of layer that has none.
    """
    kinds = ["linear" if kind == "linear" else "conv" for kind in kinds]
    if not isinstance(max_sparsity, Mapping):
        max_sparsity = dict.fromkeys(kinds, max_sparsity)
    for kind in max_sparsity:
        choose("layer kind of max_sparsity", kind, ("conv", "linear"))
    if missing := set(kinds) - set(max_sparsity):
        raise ValueError(f"max_sparsity says nothing about {', '.join(sorted(missing))} layers")
    ratios = [max_sparsity[kind] for kind in kinds]
    for ratio in ratios:
        if not 0 <= ratio < 1:
            raise ValueError(f"max_sparsity must be in [0, 1), not {ratio}")
    return ratios
