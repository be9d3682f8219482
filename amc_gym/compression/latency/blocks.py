"""How many channels a runtime computes at once.

Vector units work on 8, 16 or 32 channels, and kernels round up to them: on a CPU with AVX-512 ONNX
Runtime takes as long for 56 channels as for 64.  Time is then a staircase, and a budget that ends
between two steps wastes the difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BLOCKS = (8, 16, 32)
"""Block sizes that are tried."""

PROBES = tuple(range(20, 117, 4))
"""Channel counts to time: several steps of each staircase, and several points on each step."""

CLEAR = 0.5
"""A staircase's squared misfit must stay below this share of a straight line's.  Noise alone leaves
more, although the best of three staircases explains it a little better than the line."""


def block_of(counts: Sequence[int], times: Sequence[float]) -> int:
    """Return the block size whose staircase fits the times best.

    Args:
        counts: output channels of one layer, such as ``PROBES``.
        times: its times, (counts,).

    Returns:
        A number of ``BLOCKS``; 1 if a straight line fits about as well as any staircase.
    """
    misfits = {block: _misfit(rounded_up(counts, block), times) for block in (1, *BLOCKS)}
    best = min(BLOCKS, key=lambda block: misfits[block])
    return best if misfits[best] < CLEAR * misfits[1] else 1


def rounded_up(channels: Sequence[int] | np.ndarray, block: int) -> np.ndarray:
    """Round channels up to multiples of a block, int64, of the same shape."""
    return -(-np.asarray(channels, dtype=np.int64) // block) * block


def _misfit(channels: np.ndarray, times: Sequence[float]) -> float:
    """Return the squared relative misfit of the best straight line over the channels."""
    ns = np.asarray(times, dtype=float)
    columns = np.stack([np.ones(len(ns)), channels], axis=1) / ns[:, None]
    line = np.linalg.lstsq(columns, np.ones(len(ns)), rcond=None)[0]
    return float(((columns @ line - 1) ** 2).sum())
