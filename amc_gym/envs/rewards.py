"""Named rewards of a finished plan (paper, section 3.3).

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
from dataclasses import dataclass

from amc_gym.compression.plan import CompressionPlan


@dataclass(frozen=True)
class Outcome:
    """What a reward may depend on."""

    accuracy: float  # in [0, 1]
    macs: int
    params: int
    latency_ns: int | None = None  # where it is measured


def outcome(plan: CompressionPlan) -> Outcome:
    """What a finished plan comes to."""
    found = plan.measured
    return Outcome(found["accuracy"], found["macs"], found["params"], found.get("latency_ns"))


Reward = Callable[[Outcome], float]


def accuracy(outcome: Outcome) -> float:
    return outcome.accuracy


def error(outcome: Outcome) -> float:
    return outcome.accuracy - 1


def error_log(outcome: Outcome, size: int) -> float:
    """-error * ln(size).

    Raises:
        ValueError: size <= 1, where the logarithm would pay for errors.
    """
    if size <= 1:
        raise ValueError(f"the error-log rewards need a size above 1, not {size}")
    return (outcome.accuracy - 1) * math.log(size)


REWARDS: dict[str, Reward] = {
    "accuracy": accuracy,
    "error": error,
    "error-log-macs": lambda outcome: error_log(outcome, outcome.macs),
    "error-log-params": lambda outcome: error_log(outcome, outcome.params),
    "error-log-latency": lambda outcome: error_log(outcome, outcome.latency_ns or 0),
}

NEEDS_LATENCY = frozenset({"error-log-latency"})
"""Rewards that only exist where latency is measured."""
