"""The observation with one meaning on all networks: absolute scales, budget, error curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces

from amc_gym.envs.allocation import Allocation
from amc_gym.envs.observations.facts import Facts
from amc_gym.envs.observations.features import EPISODE, UNIT, EpisodeFeatures, unit_table
from amc_gym.envs.observations.observation import Observation

NEIGHBOURS = ("", "before: ", "after: ")
"""Units whose features are observed, in order: the next one to decide, and its neighbours."""

SIZE = len(EPISODE) + len(NEIGHBOURS) * len(UNIT)


class Comparable(Observation):
    """Features of the episode, of the next unit, and of the units before and after it.

    They are 0 where there is no such unit, and once all units are decided.
    """

    name = "comparable"
    summary = f"({SIZE},) in absolute scales, the same on all networks; see docs/suites.md"

    def __init__(self, allocation: Allocation) -> None:
        facts = Facts(allocation, f"observation={self.name!r}")
        self._episode = EpisodeFeatures(allocation, facts)
        table = unit_table(facts)
        around = np.zeros((len(table) + 3, table.shape[1]))  # one before, two after the last
        around[1:-2] = table
        # Row t holds units t, t - 1 and t + 1; an extra row is for the end.
        self._table = np.hstack([around[1:-1], around[:-2], around[2:]])

    @classmethod
    def space(cls) -> spaces.Box:
        """Return `Box(0, 1, (SIZE,), float32)`."""
        return spaces.Box(0.0, 1.0, (SIZE,), np.float32)

    def observe(self, executed: Sequence[int]) -> np.ndarray:
        """Return the observation after ``executed`` counts are decided, (SIZE,) float32."""
        return self.observe_all(np.array([executed], dtype=np.int64))[0]

    def observe_all(self, executed: np.ndarray) -> np.ndarray:
        """Return the observations of n episodes at one unit, counts (n, t) -> (n, SIZE) float32."""
        rows = np.empty((len(executed), SIZE), dtype=np.float32)
        rows[:, : len(EPISODE)] = self._episode.table(executed)
        rows[:, len(EPISODE) :] = self._table[executed.shape[1]]
        return rows


def features() -> list[tuple[str, str]]:
    """Return name and meaning of each number of the observation, in order."""
    units = [(f"{place}{each.name}", each.meaning) for place in NEIGHBOURS for each in UNIT]
    return [*EPISODE, *units]
