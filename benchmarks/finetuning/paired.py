"""Differences of accuracy between two sets of networks, judged on the same images.

Networks of one set differ by their seeds.  An interval that looked at seeds only would call three
lucky seeds a certainty, one that looked at images only would forget that another seed gives another
network: hence the bootstrap draws both anew, the images for both sets at once, since an image that
is hard for one network is mostly hard for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 9999
CONFIDENCE = 0.95
NO_LOSS = -0.002
"""A mean difference of no less than this is no loss, where the interval includes 0."""


@dataclass(frozen=True)
class Difference:
    """A mean difference of accuracies, in [-1, 1], and its interval."""

    mean: float
    low: float
    high: float

    @property
    def no_loss(self) -> bool:
        """Whether the mean is at least -0.2 points and 0 is in the interval, or below it."""
        return self.mean >= NO_LOSS and self.high >= 0

    def __str__(self) -> str:
        values = (100 * value for value in (self.mean, self.low, self.high))
        return "{:+.2f} [{:+.2f}, {:+.2f}]".format(*values)


def difference(
    ours: Sequence[NDArray[np.bool_ | np.float64]],
    theirs: Sequence[NDArray[np.bool_ | np.float64]],
    seed: int = 0,
) -> Difference:
    """Mean accuracy of ours less that of theirs, with a 95 % percentile bootstrap interval.

    Args:
        ours: for each seed, which images are right, or how often in [0, 1], (images,).
        theirs: the same images, any number of seeds.
        seed: of the bootstrap.

    Raises:
        ValueError: no seeds, or different images.
    """
    a, b = (np.asarray(side, dtype=np.float64) for side in (ours, theirs))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"bits of the same images are needed, not {a.shape} and {b.shape}")
    rng, images = np.random.default_rng(seed), a.shape[1]
    differences = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        times = np.bincount(rng.integers(images, size=images), minlength=images)
        drawn = [side[rng.integers(len(side), size=len(side))] @ times for side in (a, b)]
        differences[i] = (drawn[0].mean() - drawn[1].mean()) / images
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return Difference(float(a.mean() - b.mean()), float(low), float(high))
