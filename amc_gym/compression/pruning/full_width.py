"""The full-width weight of one layer for any kept inputs, with zeros for pruned ones.

Shapes are those of the original layer for every plan, and everything is arithmetic on one device,
so that a search on a GPU never waits, and its libraries see no new shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from amc_gym.compression.recovery.reconstruction import (
    MaskedLeastSquares,
    NestedLeastSquares,
    as_matrix,
)


class FullWidth(Protocol):
    """A layer's weight as a function of its kept inputs."""

    def __call__(self, kept: Tensor, /) -> Tensor:
        """Return the weight (O, I / groups, ...), zero for pruned inputs.

        Args:
            kept: mask of the kept columns of the unfolded input, (groups, columns) bool; a leading
                dimension of plans is passed on to the weight.
        """
        ...


class SelectedWeight:
    """Weights that are not re-fitted.

    Args:
        weight: (O, I / groups, ...).
        groups: of the convolution.
        device: device of the plans.
    """

    def __init__(self, weight: Tensor, groups: int, device: torch.device) -> None:
        self._shape = weight.shape
        matrix = weight.reshape(groups, len(weight) // groups, -1)
        self._matrix = matrix.to(device, torch.float32)  # (groups, O / groups, columns)

    def __call__(self, kept: Tensor) -> Tensor:
        """Return the weight, see ``FullWidth``."""
        return (self._matrix * kept[..., None, :]).reshape(*kept.shape[:-2], *self._shape)


class NestedWeight:
    """Weights re-fitted for inputs kept in order of rank, by a single product.

    Args:
        nested: the least-squares fit of a layer without groups.
        shape: shape of the weight, with inputs in order of rank.
        device: device of the plans.
    """

    def __init__(
        self, nested: NestedLeastSquares, shape: Sequence[int], device: torch.device
    ) -> None:
        self._shape = tuple(shape)
        self._target, self._inverse = (each.to(device) for each in nested.factors)

    def __call__(self, kept: Tensor) -> Tensor:
        """Return the weight, see ``FullWidth``."""
        weights = (self._target * kept) @ self._inverse
        return weights.reshape(*kept.shape[:-2], *self._shape)


class SolvedWeight:
    """Weights re-fitted for any kept inputs (concatenations, groups), solved for each plan.

    Args:
        gram: of the layer's unfolded input, (groups, columns, columns) float64.
        weight: (O, I / groups, ...), its columns in the same order.
        device: device of the plans.
    """

    def __init__(self, gram: Tensor, weight: Tensor, device: torch.device) -> None:
        self._shape = weight.shape
        matrix = as_matrix(weight, len(gram))
        self._fit = MaskedLeastSquares(gram.to(device), matrix.to(device))

    def __call__(self, kept: Tensor) -> Tensor:
        """Return the weight, see ``FullWidth``."""
        return self._fit.weights(kept).reshape(*kept.shape[:-2], *self._shape)
