"""How far a layer's weights should move, judged on images that the fit has not seen.

Least squares on few images fit those and destroy the weights for all others, and later layers have
many weights but few independent samples, because the positions of one image are very similar.  So
each layer is fitted in several ways to four fifths of the images, starting from good weights: with
ridges that pull more and more towards these, behind the ReLU or not.  The fit with the smallest
error on the held-out fifth is chosen, or the given weights if none has a smaller error.  As no fit
ever uses that fifth, it can also be used to judge the network as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from amc_gym.compression.recovery.behind_relu import OutputTransform
from amc_gym.compression.recovery.reconstruction import RIDGE

RIDGES = (1.0, 0.1, 1e-2, RIDGE)
"""Shares of the Gram matrix's mean diagonal, from the one that moves weights least."""

ROWS = 4096
"""Rows whose products are summed in the images' precision; these sums are added in float64."""


class LeastSquares:
    """Weights near given ones that map inputs to wanted outputs; each ridge is factored once.

    The change of the weights is fitted to the missing outputs, so that nothing changes where
    nothing is missing, independently of rounding.

    Args:
        rows: inputs, (groups, samples, columns).
        start: the given weights, (groups, columns, outputs).
        offset: whether outputs have an offset, which is not penalised.
    """

    def __init__(self, rows: Tensor, start: Tensor, *, offset: bool) -> None:
        self._mean = rows.mean(1, keepdim=True) if offset else torch.zeros_like(rows[:, :1])
        self._rows = rows - self._mean if offset else rows
        self._start, self._movable = start, offset
        self._predicted = self._rows @ start
        self._gram = self._products(self._rows)
        self._factors: dict[float, tuple[Tensor, Tensor]] = {}

    def fit(self, wanted: Tensor, ridge: float = RIDGE) -> Fitted:
        """Fit to wanted outputs, (groups, samples, outputs)."""
        return next(self.fits(wanted, (ridge,)))

    def fits(self, wanted: Tensor, ridges: tuple[float, ...]) -> Iterator[Fitted]:
        """Yield the fit with each ridge."""
        middle, products = self._missing(wanted)
        for ridge in ridges:
            yield self._moved(torch.linalg.lu_solve(*self._factor(ridge), products), middle)

    def _missing(self, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean of the missing outputs, (groups, 1, outputs), and ``rows' missing``."""
        missing = wanted - self._predicted
        middle = (
            missing.mean(1, keepdim=True) if self._movable else torch.zeros_like(missing[:, :1])
        )
        return middle, self._products(missing - middle)

    def _moved(self, change: Tensor, middle: Tensor) -> Fitted:
        weights = self._start + change.to(self._start)
        return Fitted(weights, middle - self._mean @ weights)

    def _factor(self, ridge: float) -> tuple[Tensor, Tensor]:
        if ridge not in self._factors:
            self._factors[ridge] = torch.linalg.lu_factor(self._ridged(ridge))
        return self._factors[ridge]

    def _ridged(self, ridge: float) -> Tensor:
        share = ridge * self._gram.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
        share = torch.where(share > 0, share, 1.0)
        identity = torch.eye(self._gram.shape[-1], dtype=self._gram.dtype, device=self._gram.device)
        return self._gram + share * identity

    def _products(self, others: Tensor) -> Tensor:
        """Return ``rows' others`` in float64."""
        total = torch.zeros(1, dtype=torch.float64, device=others.device)
        for mine, other in zip(self._rows.split(ROWS, 1), others.split(ROWS, 1), strict=True):
            total = total + (mine.mT @ other).double()
        return total


@dataclass(frozen=True)
class Fitted:
    """A layer's fitted weights, (groups, columns, outputs), and an offset, (groups, 1, outputs)."""

    weights: Tensor
    offset: Tensor

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the outputs, (groups, samples, columns) -> (groups, samples, outputs)."""
        return rows @ self.weights + self.offset


@dataclass(frozen=True)
class Problem:
    """Inputs of a layer at sampled positions, and the outputs that are wanted there.

    Attributes:
        rows: inputs, (groups, samples, columns).
        wanted: outputs without the layer's bias, (groups, samples, outputs).
        behind: what follows the output; ``None``: the output itself counts.
    """

    rows: Tensor
    wanted: Tensor
    behind: OutputTransform | None = None

    def part(self, chosen: slice) -> Problem:
        """Return the problem for some of the samples."""
        behind = None if self.behind is None else self.behind.part(chosen)
        return Problem(self.rows[:, chosen], self.wanted[:, chosen], behind)

    @property
    def plain(self) -> Tensor:
        """Outputs wanted of the layer itself, also if the aim is behind a ReLU."""
        if self.behind is None:
            return self.wanted
        return self.behind.outputs(self.behind.aims, self.wanted)

    def errors(self, fitted: Fitted) -> Tensor:
        """Return the squared error of each sample, (samples,), in what counts of the outputs.

        Several fits with weights (ways, groups, columns, outputs) give (ways, samples).
        """
        found, wanted = fitted(self.rows), self.wanted
        if self.behind is not None:
            found, wanted = self.behind.seen(found), self.behind.let_through(self.behind.aims)
        return (found - wanted).square().sum((-3, -1), dtype=torch.float64)


ROUNDING = 1e-10
"""Squared error, as a share of the squared outputs, that rounding in float32 explains."""


def best_fit(problem: Problem, start: Tensor, fitted: int) -> Fitted | None:
    """Return the fit of a layer with the smallest error on held-out samples.

    Args:
        problem: samples to fit to, followed by the held-out samples.
        start: the layer's present weights, (groups, columns, outputs).
        fitted: number of samples to fit to.

    Returns:
        The best fit, or the given weights if no fit has a smaller error; ``None`` if these are
        exact up to rounding.
    """
    seen, unseen = problem.part(slice(fitted)), problem.part(slice(fitted, None))
    best = Fitted(start, torch.zeros_like(start[:, :1]))
    least = unseen.errors(best)
    scale = unseen.wanted.square().sum(dtype=torch.float64)
    if not least.sum() > ROUNDING * scale:  # nothing before this layer was pruned
        return None
    squares = LeastSquares(seen.rows, start, offset=seen.behind is not None)
    nearest = None  # the best fit, or the one that moves weights least
    for ridge, found in zip(RIDGES, squares.fits(seen.plain, RIDGES), strict=True):
        if clearly_less(errors := unseen.errors(found), least):
            least, best, nearest = errors, found, (ridge, found)
        nearest = nearest or (ridge, found)
    if seen.behind is not None and seen.behind.ceiling is not None and nearest is not None:
        fit = partial(squares.fit, ridge=nearest[0])
        found = seen.behind.fit(fit, nearest[1], seen.rows, seen.wanted)
        if clearly_less(unseen.errors(found), least):
            best = found
    return best


def clearly_less(errors: Tensor, others: Tensor) -> Tensor:
    """Return whether errors are significantly smaller than others on the same samples, ()."""
    less = others - errors
    return less.mean() > less.std() / len(less) ** 0.5
