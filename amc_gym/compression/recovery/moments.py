"""Moments of a layer's outputs, which least squares shrink, restored.

A fit explains part of the wanted outputs, and its own outputs vary by that part only.  Layer after
layer the variation fades, and ReLUs let through other shares than in the original network.  So each
output is scaled and shifted until its mean and deviation over the images are the original ones
(REPAIR: Jordan, Sedghi, Saukh, Entezari and Neyshabur, ICLR 2023).
"""

from __future__ import annotations

from torch import Tensor

from amc_gym.compression.recovery.fitting import Fitted

MOST = 20.0
"""Largest scaling of an output; one that needs more hardly varies, and noise would be scaled."""


def restored(fitted: Fitted, rows: Tensor, wanted: Tensor) -> Fitted:
    """Return a layer whose outputs have the means and deviations of the wanted ones.

    Args:
        fitted: the layer.
        rows: its inputs, (groups, samples, columns).
        wanted: outputs of the original network, (groups, samples, outputs).
    """
    found = fitted(rows)
    mean, deviation = wanted.mean(1, keepdim=True), wanted.std(1, keepdim=True)
    stretch = deviation / found.std(1, keepdim=True)
    stretch = stretch.where((stretch > 1 / MOST) & (stretch < MOST), 1.0)  # no nan or inf either
    offset = mean - stretch * (found - fitted.offset).mean(1, keepdim=True)
    return Fitted(stretch * fitted.weights, offset)
