"""Differences of accuracy between two sets of networks on the same images.

Networks of one set differ by their seeds.  An interval over seeds only would treat three lucky
seeds as certainty, and one over images only would ignore that another seed gives another network.
So the bootstrap resamples both, with the same images for both sets, because an image that is hard
for one network is usually hard for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 9999
CONFIDENCE = 0.95
BLOCK = 100
"""Resamples whose products are computed together: their counts become floats only then."""

NO_LOSS = -0.002
"""Smallest mean difference that counts as no loss, if the interval includes 0."""


@dataclass(frozen=True)
class Difference:
    """A mean difference of accuracies, in [-1, 1], and its interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        values = (100 * value for value in (self.mean, self.low, self.high))
        return "{:+.2f} [{:+.2f}, {:+.2f}]".format(*values)


def no_loss(against: Difference, training: Difference) -> bool:
    """Return whether a compressed network has lost nothing.

    That is so if it is on average at most 0.2 points below the full network that was trained
    further by the same recipe, with an interval that is not all below 0.  A recipe that harms the
    full network itself makes a weak opponent, by which nothing can be shown.

    Args:
        against: difference to the full network, trained further.
        training: difference of that network to the full network as it was.
    """
    return against.mean >= NO_LOSS and against.high >= 0 and training.high >= 0


def difference(
    ours: Sequence[NDArray[np.bool_ | np.float64]],
    theirs: Sequence[NDArray[np.bool_ | np.float64]],
    seed: int = 0,
) -> Difference:
    """Return the mean accuracy of ours minus theirs, with a 95 % percentile bootstrap interval.

    Args:
        ours: for each seed, which images are correct, or how often in [0, 1], (images,).
        theirs: the same images, with any number of seeds.
        seed: of the bootstrap.

    Raises:
        ValueError: there are no seeds, or the images differ.
    """
    a, b = (np.asarray(side, dtype=np.float64) for side in (ours, theirs))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"bits of the same images are needed, not {a.shape} and {b.shape}")
    return pairwise(a[:, None] - b, seed)


def pairwise(differences: NDArray[np.float64], seed: int = 0) -> Difference:
    """Return the difference estimated from all pairs, for sides with several networks.

    Args:
        differences: for each pair, image by image, (ours, theirs, images);
            NaN for a pair that cannot be compared.
        seed: of the bootstrap.

    Raises:
        ValueError: there is no pair to compare.
    """
    ours, theirs, images = differences.shape
    if np.isnan(differences).all():
        raise ValueError("no pair can be compared")
    times, rows, columns = _resamples(RESAMPLES, ours, theirs, images, seed)
    of_images = differences.reshape(-1, images).T
    blocks = (times[at : at + BLOCK].astype(float) for at in range(0, RESAMPLES, BLOCK))
    pairs = np.concatenate([block @ of_images for block in blocks]) / images
    pairs = pairs.reshape(RESAMPLES, ours, theirs)
    drawn = pairs[np.arange(RESAMPLES)[:, None, None], rows[:, :, None], columns[:, None]]
    known = ~np.isnan(drawn)
    with np.errstate(invalid="ignore"):  # of a resample without a pair to compare
        means = np.where(known, drawn, 0).sum((1, 2)) / known.sum((1, 2))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(means, [tail, 1 - tail])
    return Difference(float(np.nanmean(differences)), float(low), float(high))


@lru_cache(maxsize=2)
def _resamples(
    resamples: int, ours: int, theirs: int, images: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.intp], NDArray[np.intp]]:
    """Draw the resamples, which all comparisons of so many networks on so many images share.

    Returns:
        How often each image is drawn, (resamples, images), and the drawn networks of either side,
        (resamples, ours) and (resamples, theirs).
    """
    rng = np.random.default_rng(seed)
    times = np.empty((resamples, images), dtype=np.uint8)
    rows, columns = (np.empty((resamples, size), dtype=np.intp) for size in (ours, theirs))
    for i in range(resamples):
        times[i] = np.bincount(rng.integers(images, size=images), minlength=images)
        rows[i] = rng.integers(ours, size=ours)
        columns[i] = rng.integers(theirs, size=theirs)
    return times, rows, columns
