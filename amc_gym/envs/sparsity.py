"""Sparsity ratios: conversion of actions, and the option ``max_sparsity``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from amc_gym._utils.arguments import described, real
from amc_gym._utils.names import choose

KINDS = ("conv", "linear")
"""Kinds of layers that ``max_sparsity`` distinguishes."""


def sparsity(action: np.ndarray) -> float:
    """Return the action as a ratio in [0, 1].

    Raises:
        TypeError: it does not hold numbers.
        ValueError: its shape is not (1,), or it is NaN.
    """
    try:
        array = np.asarray(action)
    except Exception as error:  # ragged lists, and tensors that NumPy does not read
        raise ValueError(f"the action must be an array of shape (1,): {error}") from error
    if array.dtype.kind not in "fiu":
        raise TypeError(f"the action must be an array of numbers, not {described(action)}")
    if array.shape != (1,):
        raise ValueError(f"the action must have shape (1,), not {array.shape}")
    value = float(array[0])
    if value != value:
        raise ValueError("the action is NaN: check whether the agent's network has diverged")
    return min(max(value, 0.0), 1.0)


def largest(max_sparsity: object) -> float | dict[str, float]:
    """Return the option ``max_sparsity`` as plain numbers.

    Raises:
        TypeError: it is neither a number nor a mapping of numbers.
        ValueError: a ratio is outside [0, 1), or a kind of layer is unknown.
    """
    if not isinstance(max_sparsity, Mapping):
        return _ratio("max_sparsity", max_sparsity)
    return {
        choose("layer kind of max_sparsity", kind, KINDS): _ratio(f"max_sparsity[{kind!r}]", ratio)
        for kind, ratio in max_sparsity.items()
    }


def per_unit(max_sparsity: float | Mapping[str, float], kinds: Sequence[str]) -> list[float]:
    """Return a_max of each unit.

    Raises:
        TypeError, ValueError: as ``largest``.
        ValueError: a kind of layer is missing.
    """
    kinds = ["linear" if kind == "linear" else "conv" for kind in kinds]
    ratios = largest(max_sparsity)
    if not isinstance(ratios, Mapping):
        ratios = dict.fromkeys(kinds, ratios)
    if missing := set(kinds) - set(ratios):
        raise ValueError(f"max_sparsity lacks {', '.join(sorted(missing))} layers: add them")
    return [ratios[kind] for kind in kinds]


def _ratio(name: str, value: object) -> float:
    return real(name, value, at_least=0, below=1)
