"""How far a layer's weights move, decided on a GPU without waiting for it.

A GPU is slow at one small matrix after the other, and idle while a number of it decides what comes
next.  So all ridges are one batch, and which of them is taken is decided where they are.  What
comes of it is that of `fitting.best_fit`, which processors use, up to rounding.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from amc_gym.compression.recovery.fitting import (
    RIDGES,
    Fitted,
    LeastSquares,
    Problem,
    clearly_less,
)


def best_fit_on_device(problem: Problem, start: Tensor, fitted: int) -> Fitted:
    """Fit a layer in the way that errs least on samples that it has not been fitted to.

    Args:
        problem: samples to fit to, and behind them those that are held out.
        start: the weights that it has, (groups, columns, outputs).
        fitted: how many samples are to be fitted to.

    Returns:
        The best fit; the given weights if none errs less, as where they are right.
    """
    seen, unseen = problem.part(slice(fitted)), problem.part(slice(fitted, None))
    squares = AllRidges(seen.rows, start, offset=seen.behind is not None)
    fits = squares.every(seen.plain)
    given = Fitted(start[None], torch.zeros_like(fits.offset[:1]))
    ways = Fitted(*(torch.cat(pair) for pair in zip(_parts(given), _parts(fits), strict=True)))
    errors = unseen.errors(ways)  # (1 + ridges, samples)
    least, best = errors[0], torch.zeros((), dtype=torch.int64, device=start.device)
    for way in range(1, len(errors)):
        better = clearly_less(errors[way], least)
        least, best = torch.where(better, errors[way], least), torch.where(better, way, best)
    found = _chosen(ways, best)
    if seen.behind is not None and seen.behind.ceiling is not None:
        nearest = best.clamp_min(1)  # the best of the fits, or the one that moves weights least
        fit = partial(squares.one, ridge=nearest - 1)
        behind = seen.behind.fit(fit, _chosen(ways, nearest), seen.rows, seen.wanted)
        better = clearly_less(unseen.errors(behind), least)
        pairs = zip(_parts(behind), _parts(found), strict=True)
        found = Fitted(*(torch.where(better, *pair) for pair in pairs))
    return found


class AllRidges(LeastSquares):
    """`LeastSquares` with all of ``RIDGES`` factored in one batch.

    Args:
        rows: inputs, (groups, samples, columns).
        start: the given weights, (groups, columns, outputs).
        offset: whether outputs have one, which costs nothing.
    """

    def __init__(self, rows: Tensor, start: Tensor, *, offset: bool) -> None:
        super().__init__(rows, start, offset=offset)
        ridged = torch.stack([self._ridged(ridge) for ridge in RIDGES])
        self._lu, self._pivots, _ = torch.linalg.lu_factor_ex(ridged)  # the last one would wait

    def every(self, wanted: Tensor) -> Fitted:
        """Fit with each ridge: weights (ridges, groups, columns, outputs), offsets alike."""
        middle, products = self._missing(wanted)
        return self._moved(torch.linalg.lu_solve(self._lu, self._pivots, products), middle)

    def one(self, wanted: Tensor, ridge: Tensor) -> Fitted:
        """Fit with the ridge of an index, ()."""
        middle, products = self._missing(wanted)
        lu, pivots = (each.index_select(0, ridge[None])[0] for each in (self._lu, self._pivots))
        return self._moved(torch.linalg.lu_solve(lu, pivots, products), middle)


def _parts(fitted: Fitted) -> tuple[Tensor, Tensor]:
    return fitted.weights, fitted.offset


def _chosen(ways: Fitted, index: Tensor) -> Fitted:
    """Return one of several fits, by an index, ()."""
    return Fitted(*(each.index_select(0, index[None])[0] for each in _parts(ways)))
