"""How many channels a runtime computes at once.

Vector units work on 8, 16 or 32 channels, and kernels round up to them: on a processor with AVX-512
ONNX Runtime takes as long for 56 channels as for 64.  Time is then a staircase, and a budget that
ends between two steps is given away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BLOCKS = (8, 16, 32)
"""Block sizes that are looked for."""

PROBES = tuple(range(20, 117, 4))
"""Channel counts that tell: several steps of each staircase, several points on each step."""

CLEAR = 0.5
"""Share of a straight line's squared misfit that a staircase's must stay below: noise alone, which
the best of three explains a little better than the line does, leaves more."""


def block_of(counts: Sequence[int], times: Sequence[float]) -> int:
    """Return the block whose staircase the times are.

    Args:
        counts: output channels of one layer, such as ``PROBES``.
        times: its times, (counts,).

    Returns:
        A number of ``BLOCKS``; 1 where a straight line does about as well as any staircase.
    """
    misfits = {block: _misfit(rounded_up(counts, block), times) for block in (1, *BLOCKS)}
    best = min(BLOCKS, key=lambda block: misfits[block])
    return best if misfits[best] < CLEAR * misfits[1] else 1


def rounded_up(channels: Sequence[int] | np.ndarray, block: int) -> np.ndarray:
    """Channels to the next multiples of a block, int64, of the same shape."""
    return -(-np.asarray(channels, dtype=np.int64) // block) * block


def _misfit(channels: np.ndarray, times: Sequence[float]) -> float:
    """Squared, of the best straight line over the channels, in relative errors."""
    ns = np.asarray(times, dtype=float)
    columns = np.stack([np.ones(len(ns)), channels], axis=1) / ns[:, None]
    line = np.linalg.lstsq(columns, np.ones(len(ns)), rcond=None)[0]
    return float(((columns @ line - 1) ** 2).sum())
