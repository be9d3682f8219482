"""How many channels a runtime computes at once.

Vector units work on 8, 16 or 32 channels, and kernels round up to them: on a CPU with AVX-512 ONNX
Runtime takes as long for 56 channels as for 64.  Time is then a staircase, and a budget that ends
between two steps wastes the difference.  Or the fast kernel takes whole blocks only, and a slow one
all other counts: a depthwise convolution of 13 channels then takes longer than one of 64.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BLOCKS = (4, 8, 16, 32)
"""Block sizes that are tried."""

PROBES = tuple(start + step for start in range(16, 112, 8) for step in (0, 3, 4))
"""Channel counts to time: several steps of each staircase, and counts between its steps."""

CLEAR = 0.5
"""A block's squared misfit must stay below this share of a straight line's.  Noise alone leaves
more, although the best of four blocks explains it a little better than the line."""

ROUNDING = 1e-10
"""Squared misfits of this size are rounding."""

FEWEST = 12
"""Least number of counts in which a block is looked for."""


def block_of(counts: Sequence[int], times: Sequence[float]) -> int:
    """Return the block size that explains the times best.

    Blocks show in one of two ways: a layer takes as long as one whose channels are rounded up to
    whole blocks, or it takes longer if its channels are no whole blocks.

    Args:
        counts: channels of one side of one layer, such as ``PROBES``.
        times: its times, (counts,).

    Returns:
        A number of ``BLOCKS``; 1 if a straight line fits about as well as any block.
    """
    at, ns = np.asarray(counts), np.asarray(times, dtype=float)
    found = 1
    # Whole blocks of one kernel may be parts of another's: 4 channels each, and 16 at once.
    while len(at) >= FEWEST and (larger := _clearest([b for b in BLOCKS if b > found], at, ns)):
        found = larger
        whole = at % found == 0
        at, ns = at[whole], ns[whole]
    return found


def _clearest(blocks: Sequence[int], counts: np.ndarray, ns: np.ndarray) -> int:
    """Return the block that fits best; 0 if a straight line fits about as well."""
    misfits = {block: _misfit_of(counts, block, ns) for block in blocks}
    best = min(misfits, key=misfits.__getitem__, default=0)
    line = _misfit([counts], ns)
    return best if best and misfits[best] + ROUNDING < CLEAR * line else 0


def rounded_up(channels: Sequence[int] | np.ndarray, block: int) -> np.ndarray:
    """Round channels up to multiples of a block, int64, of the same shape."""
    return -(-np.asarray(channels, dtype=np.int64) // block) * block


def _misfit_of(counts: np.ndarray, block: int, ns: np.ndarray) -> float:
    """Return the smaller misfit of a staircase and of a second kernel between whole blocks."""
    between = counts % block != 0
    staircase = _misfit([rounded_up(counts, block)], ns)
    return min(staircase, _misfit([counts, between, counts * between], ns))


def _misfit(terms: Sequence[np.ndarray], ns: np.ndarray) -> float:
    """Return the mean squared relative misfit of a constant and some terms, none negative."""
    from scipy.optimize import nnls  # slow to import

    columns = np.stack([np.ones(len(ns)), *terms], axis=1) / ns[:, None]
    return float(nnls(columns, np.ones(len(ns)))[1] ** 2) / (len(ns) - columns.shape[1])
