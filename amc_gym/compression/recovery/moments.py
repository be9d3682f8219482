"""Moments of a layer's outputs: least squares shrink them, and so each layer behind sees less.

A fit explains part of what is wanted, and its outputs vary by that part alone.  Layer after layer
what varies fades, and ReLUs let through other shares of it than the original network's did.  So
outputs are stretched and moved, each for itself, until mean and deviation over the images are again
what they were (REPAIR: Jordan, Sedghi, Saukh, Entezari and Neyshabur, ICLR 2023).
"""

from __future__ import annotations

from torch import Tensor

from amc_gym.compression.recovery.fitting import Fitted

MOST = 20.0
"""Times that outputs may be stretched: below it they hardly vary, and noise would be."""


def restored(fitted: Fitted, rows: Tensor, wanted: Tensor) -> Fitted:
    """Return a layer whose outputs have the means and deviations of those that are wanted.

    Args:
        fitted: the layer as it is.
        rows: its inputs, (groups, samples, columns).
        wanted: outputs of the original network, (groups, samples, outputs).
    """
    found = fitted(rows)
    mean, deviation = wanted.mean(1, keepdim=True), wanted.std(1, keepdim=True)
    stretch = deviation / found.std(1, keepdim=True)
    stretch = stretch.where((stretch > 1 / MOST) & (stretch < MOST), 1.0)  # so are nan and inf
    offset = mean - stretch * (found - fitted.offset).mean(1, keepdim=True)
    return Fitted(stretch * fitted.weights, offset)
