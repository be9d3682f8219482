"""The weight of one layer at full width, for any inputs that stay: zeros where one goes.

Shapes are those of the original layer whatever the plan, and everything is arithmetic on one
device: a search on a GPU waits for nothing, and its libraries meet no new shape.
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
    """A layer's weight by which of its inputs stay."""

    def __call__(self, kept: Tensor, /) -> Tensor:
        """Return the weight (O, I / groups, ...), zero where an input goes.

        Args:
            kept: which columns of the unfolded input stay, (groups, columns) bool; with a dimension
                of plans before, so has the weight.
        """
        ...


class SelectedWeight:
    """Weights as they are.

    Args:
        weight: (O, I / groups, ...).
        groups: of the convolution.
        device: where plans come in.
    """

    def __init__(self, weight: Tensor, groups: int, device: torch.device) -> None:
        self._shape = weight.shape
        matrix = weight.reshape(groups, len(weight) // groups, -1)
        self._matrix = matrix.to(device, torch.float32)  # (groups, O / groups, columns)

    def __call__(self, kept: Tensor) -> Tensor:
        """See ``FullWidth``."""
        return (self._matrix * kept[..., None, :]).reshape(*kept.shape[:-2], *self._shape)


class NestedWeight:
    """Weights re-fitted to inputs of which the first by rank stay: one product.

    Args:
        nested: the fit, of a layer without groups.
        shape: of the weight, its inputs in order of rank.
        device: where plans come in.
    """

    def __init__(
        self, nested: NestedLeastSquares, shape: Sequence[int], device: torch.device
    ) -> None:
        self._shape = tuple(shape)
        self._target, self._inverse = (each.to(device) for each in nested.factors)

    def __call__(self, kept: Tensor) -> Tensor:
        """See ``FullWidth``."""
        weights = (self._target * kept) @ self._inverse
        return weights.reshape(*kept.shape[:-2], *self._shape)


class SolvedWeight:
    """Weights re-fitted to any inputs, behind a concatenation or in groups: solved for each plan.

    Args:
        gram: of the layer's unfolded input, (groups, columns, columns) float64.
        weight: (O, I / groups, ...), its columns in the same order.
        device: where plans come in.
    """

    def __init__(self, gram: Tensor, weight: Tensor, device: torch.device) -> None:
        self._shape = weight.shape
        matrix = as_matrix(weight, len(gram))
        self._fit = MaskedLeastSquares(gram.to(device), matrix.to(device))

    def __call__(self, kept: Tensor) -> Tensor:
        """See ``FullWidth``."""
        return self._fit.weights(kept).reshape(*kept.shape[:-2], *self._shape)
