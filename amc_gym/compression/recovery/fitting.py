"""How far a layer's weights are to move: told by images that the fit has not seen.

Least squares on few images fit those and destroy what the weights are for on all others, and the
later the layer the fewer independent samples its many weights have: positions of one image are much
alike.  So each layer is fitted in several ways to four fifths of the images, from weights that are
good already: with ridges that pull ever more towards these, behind the ReLU or not.  The way that
errs least on the held-out fifth is taken, and if none errs less than the given weights, these stay.
No fit ever sees that fifth: it can tell of the network as a whole, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from amc_gym.compression.recovery.behind_relu import Behind
from amc_gym.compression.recovery.reconstruction import RIDGE

RIDGES = (1.0, 0.1, 1e-2, RIDGE)
"""Shares of the mean diagonal of the Gram matrix, tried from the one that moves weights least."""

ROWS = 4096
"""Whose products are summed in the images' own precision; the sums of these are in float64."""


class LeastSquares:
    """Weights near given ones that bring inputs to wanted outputs; each ridge factored once.

    The change of the weights is fitted to what is missing, so that nothing changes where nothing
    is missing, whatever the rounding.

    Args:
        rows: inputs, (groups, samples, columns).
        start: the given weights, (groups, columns, outputs).
        offset: whether outputs have one, which costs nothing.
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
        """Fit with each ridge."""
        middle, products = self._missing(wanted)
        for ridge in ridges:
            yield self._moved(torch.linalg.lu_solve(*self._factor(ridge), products), middle)

    def _missing(self, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean of what is missing, (groups, 1, outputs), and ``rows' missing``."""
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
        """``rows' others`` in float64."""
        total = torch.zeros(1, dtype=torch.float64, device=others.device)
        for mine, other in zip(self._rows.split(ROWS, 1), others.split(ROWS, 1), strict=True):
            total = total + (mine.mT @ other).double()
        return total


@dataclass(frozen=True)
class Fitted:
    """Weights of a layer, (groups, columns, outputs), and an offset, (groups, 1, outputs)."""

    weights: Tensor
    offset: Tensor

    def __call__(self, rows: Tensor) -> Tensor:
        """(groups, samples, columns) -> (groups, samples, outputs)."""
        return rows @ self.weights + self.offset


@dataclass(frozen=True)
class Problem:
    """Inputs of a layer at sampled positions, and the outputs that are wanted there.

    Attributes:
        rows: inputs, (groups, samples, columns).
        wanted: outputs without the layer's bias, (groups, samples, outputs).
        behind: way of the output to what counts of it; ``None``: the output itself counts.
    """

    rows: Tensor
    wanted: Tensor
    behind: Behind | None = None

    def part(self, chosen: slice) -> Problem:
        """Return the problem of some of the samples."""
        behind = None if self.behind is None else self.behind.part(chosen)
        return Problem(self.rows[:, chosen], self.wanted[:, chosen], behind)

    @property
    def plain(self) -> Tensor:
        """Outputs that are wanted of the layer itself, by what is wanted behind it if anything."""
        if self.behind is None:
            return self.wanted
        return self.behind.outputs(self.behind.aims, self.wanted)

    def errors(self, fitted: Fitted) -> Tensor:
        """Return the squared error of what counts of the outputs, of each sample, (samples,).

        Of several fits, weights (ways, groups, columns, outputs), all at once: (ways, samples).
        """
        found, wanted = fitted(self.rows), self.wanted
        if self.behind is not None:
            found, wanted = self.behind.seen(found), self.behind.let_through(self.behind.aims)
        return (found - wanted).square().sum((-3, -1), dtype=torch.float64)


def best_fit(problem: Problem, start: Tensor, fitted: int) -> Fitted | None:
    """Fit a layer in the way that errs least on samples that it has not been fitted to.

    Args:
        problem: samples to fit to, and behind them those that are held out.
        start: the weights that it has, (groups, columns, outputs).
        fitted: how many samples are to be fitted to.

    Returns:
        The best fit, the given weights if none errs less; ``None`` where these are right.
    """
    seen, unseen = problem.part(slice(fitted)), problem.part(slice(fitted, None))
    best = Fitted(start, torch.zeros_like(start[:, :1]))
    least = unseen.errors(best)
    if not float(least.sum()) > 0:  # the network before is whole
        return None
    squares = LeastSquares(seen.rows, start, offset=seen.behind is not None)
    nearest = None  # the best of the fits, or the one that moves weights least
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
    """Whether errors are less than others of the same samples by more than chance may do, ()."""
    less = others - errors
    return less.mean() > less.std() / len(less) ** 0.5
