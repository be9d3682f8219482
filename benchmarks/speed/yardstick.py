"""A fixed piece of work: dividing by its time makes figures of different days comparable.

A ratio outlives the machine's load, but not the machine: another processor has another ratio.
"""

from __future__ import annotations

import time
from statistics import median

import torch

LOOP = 20_000
PRODUCTS = 4
SIZE = 256
"""Additions in a plain loop, and 256 x 256 float32 matrix products: about a millisecond each, since
part of what is measured here is interpreted and part is arithmetic."""

REPETITIONS = 25


def yardstick_seconds() -> float:
    """Measure CPU seconds of the piece of work: the median of ``REPETITIONS``, in some 0.1 s.

    Times divided by it are CPU times too, or medians of something short that a busy machine seldom
    interrupts.
    """
    matrix = torch.full((SIZE, SIZE), 1 / SIZE)
    seconds = []
    for _ in range(REPETITIONS):
        began = time.process_time()
        _work(matrix)
        seconds.append(time.process_time() - began)
    return median(seconds)


def _work(matrix: torch.Tensor) -> None:
    total = 0
    for number in range(LOOP):
        total += number
    for _ in range(PRODUCTS):
        matrix = matrix @ matrix
