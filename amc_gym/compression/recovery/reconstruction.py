"""Least-squares reconstruction: the kept weights of a layer reproduce its original output.

The layer's target is the linear part of its own output, Y = X W0, so X'Y = G W0 and only the Gram
matrix G = X'X of its unfolded inputs is ever needed.  The ridge pulls towards W0 rather than 0, so
that keeping everything returns the original weights:

    W_S = argmin |X_S W - X W0|^2 + ridge |W - W0_S|^2  =  (G' _SS)^-1 G'_S: W0,   G' = G + ridge I

Where the kept sets are nested (a ranking), G' is ordered by rank and factored once, and the best
weights for any number of kept columns are products of leading blocks of the same two matrices.

All matrices may have a leading dimension: the groups of a grouped convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from amc_gym.compression.graph import ChannelGraph, Layer
from amc_gym.compression.recovery.recovery import Calibration, Recovery, register
from amc_gym.compression.slim import Kept

RIDGE = 1e-5
"""Ridge as a share of the mean diagonal of G."""


def least_squares(
    gram: torch.Tensor, weight: torch.Tensor, columns: torch.Tensor, ridge: float = RIDGE
) -> torch.Tensor:
    """Return the best weights of the kept ``columns`` by the plain solution, for any kept set.

    Args:
        gram: (..., columns, columns) float64.
        weight: original weights, (..., columns, outputs) float64.
        columns: kept column indices, (..., k).
        ridge: as a share of the mean diagonal of the Gram matrix.

    Returns:
        (..., k, outputs) float64.
    """
    rows = _rows(_ridged(gram, ridge), columns)
    return torch.linalg.solve(_columns(rows, columns), rows @ weight)


class NestedLeastSquares:
    """Least squares for the nested kept sets of one ranking, factored once.

    With G' ordered by rank, G' = L L' and L Z = G' W0, the best weights of the first k columns
    solve L[:k, :k]' W = Z[:k].  The inverse of a leading block of a triangular matrix is the
    leading block of its inverse, so one product gives them: W' = Z'[:, :k] L^-1[:k, :k].

    Args:
        gram: (..., columns, columns) float64.
        weight: original weights, (..., columns, outputs) float64.
        order: all columns, most important first, (..., columns).
        ridge: as a share of the mean diagonal of the Gram matrix.
        dtype: of the product; everything before it is float64.
    """

    def __init__(
        self,
        gram: torch.Tensor,
        weight: torch.Tensor,
        order: torch.Tensor,
        ridge: float = RIDGE,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        rows = _rows(_ridged(gram, ridge), order)
        factor = torch.linalg.cholesky(_columns(rows, order))
        target = torch.linalg.solve_triangular(factor, rows @ weight, upper=False)
        identity = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
        identity = identity.expand_as(factor)
        inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
        self._inverse = inverse.to(dtype)
        self._target = target.mT.contiguous().to(dtype)

    def explained(self) -> torch.Tensor:
        """Return the squares of the output that each column explains, by rank, (columns,).

        With the first k columns kept and re-fitted, the squared error of the output is the sum over
        the columns after them: |X W0|^2 = |Z|^2, of which the first k rows of Z are explained.
        Summed over groups and outputs, and including the ridge.
        """
        return self._target.double().square().sum(dim=tuple(range(self._target.dim() - 1)))

    def weights(self, k: int, outputs: int | None = None, width: int | None = None) -> torch.Tensor:
        """Return the best weights of the first ``k`` columns by rank, (..., outputs, width).

        Args:
            k: number of kept columns.
            outputs: only the first so many outputs; all by default.
            width: at least ``k``, which is the default; columns behind the k-th are zero, since the
                inverse is a lower triangle.
        """
        return self._target[..., :outputs, :k] @ self._inverse[..., :k, : width or k]

    @property
    def factors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return Z', (..., outputs, columns), and L^-1, (..., columns, columns), by rank.

        With the columns of Z' after the k-th set to zero, Z' L^-1 holds the best weights of the
        first k columns and zeros for the others, because the inverse is lower triangular.
        """
        return self._target, self._inverse


class MaskedLeastSquares:
    """Least squares for any kept set, with zeros for all other columns.

    Rows and columns of G' that are not kept are replaced by those of the identity, and their right
    side by zero.  Shapes do not depend on the kept set, and nothing waits for the device, so that a
    CUDA graph can record it; all groups are solved in one batch.

    Args:
        gram: (groups, columns, columns) float64, on any device.
        weight: original weights, (groups, columns, outputs) float64.
        ridge: as a share of the mean diagonal of the Gram matrix.
    """

    def __init__(self, gram: torch.Tensor, weight: torch.Tensor, ridge: float = RIDGE) -> None:
        self._gram = _ridged(gram, ridge)
        self._right = self._gram @ weight
        self._identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)

    def weights(self, kept: torch.Tensor) -> torch.Tensor:
        """Return best weights of the kept columns, zero elsewhere, (..., groups, outputs, columns).

        Args:
            kept: mask of the columns, (..., groups, columns) bool, on the Gram matrix's device.
        """
        both = kept[..., :, None] & kept[..., None, :]
        gram = torch.where(both, self._gram, self._identity)
        factor, _ = torch.linalg.cholesky_ex(gram)  # cholesky would wait, to check for errors
        half = torch.linalg.solve_triangular(factor, self._right * kept[..., None], upper=False)
        return torch.linalg.solve_triangular(factor.mT, half, upper=True).mT


@register
@dataclass(frozen=True)
class Reconstruct(Recovery):
    """Fit each layer's kept weights to its original output by least squares."""

    name = "reconstruct"
    summary = "least squares towards each layer's original output (paper, section 3.4)"
    order = 10
    needs = frozenset({"grams"})
    per_plan = False

    def weights(self, kept: Kept, calibration: Calibration) -> Mapping[str, torch.Tensor]:
        """Return re-fitted weights of each layer that has a Gram matrix."""
        model = calibration.model
        on_processor = next(model.parameters()).device.type == "cpu"
        solve = refit if on_processor else refit_together
        return solve(model, calibration.graph, calibration.grams, kept)


def refit(
    model: nn.Module, graph: ChannelGraph, grams: Mapping[str, torch.Tensor], kept: Kept
) -> dict[str, torch.Tensor]:
    """Return re-fitted weights of every layer with a Gram matrix, for any kept channels.

    This is the plain path: one least-squares solution for each layer, nothing remembered.

    Returns:
        Layer name -> (kept outputs, kept inputs, ...) in the shape of the slim layer's weight.
    """
    weights = {}
    for name, gram in grams.items():
        layer = graph.layers[name]
        assert layer.inputs is not None
        weight = model.get_submodule(name).weight
        assert isinstance(weight, torch.Tensor)
        columns = unfolded_columns(layer.inputs.kept(kept), layer)
        solved = least_squares(gram, as_matrix(weight, layer.groups).cpu(), columns)
        rows = torch.from_numpy(layer.outputs.kept(kept))
        weights[name] = as_weight(solved, weight)[rows]
    return weights


def refit_together(
    model: nn.Module, graph: ChannelGraph, grams: Mapping[str, torch.Tensor], kept: Kept
) -> dict[str, torch.Tensor]:
    """Return re-fitted weights as ``refit`` does, solved on the network's device without waiting.

    A GPU is slow with small matrices one after the other, so layers of one shape form one batch, at
    full width, with zeros for what the plan drops.
    """
    alike: dict[tuple[torch.Size, torch.Size], dict[str, torch.Tensor]] = {}
    for name, gram in grams.items():
        weight = model.get_submodule(name).weight
        assert isinstance(weight, torch.Tensor)
        alike.setdefault((gram.shape, weight.shape), {})[name] = weight
    return {
        name: fitted
        for layers in alike.values()
        for name, fitted in _refit_alike(layers, graph, grams, kept).items()
    }


def _refit_alike(
    layers: Mapping[str, torch.Tensor],
    graph: ChannelGraph,
    grams: Mapping[str, torch.Tensor],
    kept: Kept,
) -> dict[str, torch.Tensor]:
    """Return re-fitted weights of layers of one shape, given by name and original weight."""
    columns = {}
    for name in layers:
        layer = graph.layers[name]
        assert layer.inputs is not None
        columns[name] = unfolded_columns(layer.inputs.kept(kept), layer)
    stay = torch.stack(
        [
            torch.zeros(grams[name].shape[:-1], dtype=torch.bool).scatter_(-1, each, True)
            for name, each in columns.items()
        ]
    )
    matrix = torch.stack(
        [as_matrix(weight, graph.layers[n].groups) for n, weight in layers.items()]
    )
    gram = torch.stack([grams[name] for name in layers]).to(matrix.device)
    solved = MaskedLeastSquares(gram, matrix).weights(stay.to(matrix.device)).mT
    weights = {}
    for (name, weight), mine in zip(layers.items(), solved, strict=True):
        best = _rows(mine, columns[name].to(mine.device))
        rows = torch.from_numpy(graph.layers[name].outputs.kept(kept)).to(mine.device)
        weights[name] = as_weight(best, weight)[rows]
    return weights


def as_matrix(weight: torch.Tensor, groups: int = 1) -> torch.Tensor:
    """Return a weight (O, I / groups, ...) as (groups, columns, O / groups) in float64."""
    return weight.detach().flatten(1).reshape(groups, -1, weight[0].numel()).mT.double()


def as_weight(matrix: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Invert ``as_matrix`` for a matrix with possibly fewer columns, in the dtype of ``like``."""
    size = like[0, 0].numel()
    shape = (len(like), matrix.shape[-2] // size, *like.shape[2:])
    return matrix.mT.reshape(shape).to(like.dtype)


def unfolded_columns(positions: np.ndarray, layer: Layer) -> torch.Tensor:
    """Return the columns of a layer's unfolded input for input positions, (groups, columns).

    Each group must have equally many of the positions, which are in the order of the groups.
    """
    assert layer.inputs is not None
    within = positions.reshape(layer.groups, -1, 1) % (len(layer.inputs) // layer.groups)
    columns = within * layer.weights + np.arange(layer.weights)
    return torch.from_numpy(columns.reshape(layer.groups, -1))


def _ridged(gram: torch.Tensor, ridge: float) -> torch.Tensor:
    ridged = gram.clone()
    added = ridge * gram.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True)
    ridged.diagonal(dim1=-2, dim2=-1).add_(torch.where(added > 0, added, 1.0))  # dead: any
    return ridged


def _rows(matrix: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return torch.take_along_dim(matrix, index[..., :, None], -2)


def _columns(matrix: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return torch.take_along_dim(matrix, index[..., None, :], -1)
