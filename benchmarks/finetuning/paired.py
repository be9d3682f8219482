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
    return pairwise(a[:, None] - b, seed)


def pairwise(differences: NDArray[np.float64], seed: int = 0) -> Difference:
    """Estimate from the differences of all pairs, for sides that are not one network each.

    Args:
        differences: of each of ours and each of theirs, image by image, (ours, theirs, images);
            NaN for a pair that cannot be compared.
        seed: of the bootstrap.

    Raises:
        ValueError: there is no pair to compare.
    """
    ours, theirs, images = differences.shape
    if np.isnan(differences).all():
        raise ValueError("no pair can be compared")
    rng, means = np.random.default_rng(seed), np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        times = np.bincount(rng.integers(images, size=images), minlength=images)
        pairs = differences @ times / images
        drawn = pairs[rng.integers(ours, size=ours)][:, rng.integers(theirs, size=theirs)]
        known = drawn[~np.isnan(drawn)]
        means[i] = known.mean() if known.size else np.nan
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(means, [tail, 1 - tail])
    return Difference(float(np.nanmean(differences)), float(low), float(high))
