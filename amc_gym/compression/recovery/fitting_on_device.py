"""The choice of `fitting.best_fit` on a GPU, without waiting for the GPU.

A GPU is slow with small matrices one after the other, and idles while the CPU uses one of its
results to decide what comes next.  So all ridges form one batch, and the choice among them is made
on the device.  The result is that of `fitting.best_fit`, which CPUs use, up to rounding.
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
    """Return the fit of a layer with the smallest error on held-out samples.

    Args:
        problem: samples to fit to, followed by the held-out samples.
        start: the layer's present weights, (groups, columns, outputs).
        fitted: number of samples to fit to.

    Returns:
        The best fit, or the given weights if no fit has a smaller error, also if these are exact.
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
        nearest = best.clamp_min(1)  # the best fit, or the one that moves weights least
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
        offset: whether outputs have an offset, which is not penalised.
    """

    def __init__(self, rows: Tensor, start: Tensor, *, offset: bool) -> None:
        super().__init__(rows, start, offset=offset)
        ridged = torch.stack([self._ridged(ridge) for ridge in RIDGES])
        self._lu, self._pivots, _ = torch.linalg.lu_factor_ex(ridged)  # an error check would wait

    def every(self, wanted: Tensor) -> Fitted:
        """Fit with each ridge: weights (ridges, groups, columns, outputs), offsets likewise."""
        middle, products = self._missing(wanted)
        return self._moved(torch.linalg.lu_solve(self._lu, self._pivots, products), middle)

    def one(self, wanted: Tensor, ridge: Tensor) -> Fitted:
        """Fit with the ridge at an index, ()."""
        middle, products = self._missing(wanted)
        lu, pivots = (each.index_select(0, ridge[None])[0] for each in (self._lu, self._pivots))
        return self._moved(torch.linalg.lu_solve(lu, pivots, products), middle)


def _parts(fitted: Fitted) -> tuple[Tensor, Tensor]:
    return fitted.weights, fitted.offset


def _chosen(ways: Fitted, index: Tensor) -> Fitted:
    """Return one of several fits by an index, ()."""
    return Fitted(*(each.index_select(0, index[None])[0] for each in _parts(ways)))
