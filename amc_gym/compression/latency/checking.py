"""Check of a latency table against whole networks, timed end to end."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm
from typing import Any

import numpy as np

from amc_gym.compression.latency.bar import Bar
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.latency.layers import geometries
from amc_gym.compression.latency.pinning import pinned
from amc_gym.compression.latency.table import LatencyTable
from amc_gym.compression.latency.timing import ROUNDS, measure
from amc_gym.compression.latency.workload import Workload, random_plans


@dataclass(frozen=True)
class Check:
    """Predicted and measured nanoseconds of whole networks, (n,) each, and the measured spread."""

    predicted: np.ndarray
    measured: np.ndarray
    spread: float

    @property
    def errors(self) -> np.ndarray:
        """Relative errors of the predictions, (n,)."""
        return np.abs(self.predicted - self.measured) / self.measured

    @property
    def pace(self) -> float:
        """Present slowdown: the measured times as a multiple of the predicted ones.

        Shared machines change speed within minutes, which does not affect budgets, as these are
        ratios.
        """
        return float(np.median(self.measured / self.predicted))

    @property
    def errors_at_pace(self) -> np.ndarray:
        """Relative errors after dividing by the pace, (n,)."""
        return np.abs(self.pace * self.predicted - self.measured) / self.measured


def check(
    workload: Workload,
    table: LatencyTable,
    n: int = 50,
    *,
    rounds: int = ROUNDS,
    seed: int = 2,
    progress: bool = True,
    **options: Any,
) -> Check:
    """Compare a table's predictions with networks that it was not fitted to, end to end.

    Args:
        workload: what to measure.
        table: of this device.
        n: number of random plans.
        rounds: number of timings of each.
        seed: of the plans.
        progress: whether to show a progress bar, on stderr.
        options: of ``timing.measure``.

    Raises:
        LatencyError: the table is of another network, or the measurement fails.
    """
    cost = LatencyCost(workload.graph, geometries(workload.model, workload.graph), table)
    plans = random_plans(workload.graph, n, lcm(workload.multiple, table.block), seed)
    with Bar(rounds, progress) as bar, pinned(workload.device.threads):
        passes = {}
        for number, counts in enumerate(plans):
            passes[number] = workload.whole(counts)
            bar.prepared(number + 1)
        timings = measure(passes, rounds=rounds, on_round=bar.timed, **options)
    measured = np.array([timings[number].quiet for number in range(n)])
    spread = float(np.median([timing.spread for timing in timings.values()]))
    return Check(cost.totals(np.array(plans)), measured, spread)
