"""Named rewards of what a plan was measured to be (paper, section 3.3).

| name                | reward                | for                                            |
|---------------------|-----------------------|------------------------------------------------|
| "accuracy"          | accuracy              | resource-constrained search, in [0, 1]         |
| "error"             | -error                | the same up to a constant: the paper's R_err   |
| "error-log-macs"    | -error * ln(MACs)     | accuracy-guaranteed: the paper's R_FLOPs       |
| "error-log-params"  | -error * ln(#params)  | accuracy-guaranteed: the paper's R_Param       |
| "error-log-latency" | -error * ln(ns)       | the same shape for measured latency            |
"""

from __future__ import annotations

import math
from collections.abc import Callable

from amc_gym.compression.plan import Measured

Reward = Callable[[Measured], float]


def accuracy(measured: Measured) -> float:
    """Accuracy on the reward images, in [0, 1]."""
    return measured.accuracy


def error(measured: Measured) -> float:
    """-error, in [-1, 0]."""
    return measured.accuracy - 1


def error_log(measured: Measured, size: int) -> float:
    """-error * ln(size).

    Raises:
        ValueError: size <= 1, where the logarithm would pay for errors.
    """
    if size <= 1:
        raise ValueError(f"the error-log rewards need a size above 1, not {size}")
    return (measured.accuracy - 1) * math.log(size)


REWARDS: dict[str, Reward] = {
    "accuracy": accuracy,
    "error": error,
    "error-log-macs": lambda measured: error_log(measured, measured.macs),
    "error-log-params": lambda measured: error_log(measured, measured.params),
    "error-log-latency": lambda measured: error_log(measured, measured.latency_ns or 0),
}

NEEDS_LATENCY = frozenset({"error-log-latency"})
"""Rewards that only exist where latency is measured."""
