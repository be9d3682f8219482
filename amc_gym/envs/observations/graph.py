"""The observation of the whole network: all units, their connections, and all decisions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces

from amc_gym.envs.allocation import Allocation
from amc_gym.envs.observations.facts import Facts
from amc_gym.envs.observations.features import EPISODE, UNIT, EpisodeFeatures, unit_table
from amc_gym.envs.observations.observation import Observation

MOST = 64
"""Most units of a graph; all networks of the package have fewer."""

DECIDED = (
    ("decided", "1 once the unit is decided"),
    ("next", "1 if it is decided next"),
    ("kept", "share that was kept of it; 1 before it is decided"),
)
"""Names and meanings of the numbers that precede ``features.UNIT`` in a unit's row."""


class Graph(Observation):
    """All units as rows, padded to ``MOST``; for attention and message passing.

    | key       | shape            | value                                                      |
    |-----------|------------------|------------------------------------------------------------|
    | `episode` | (E,)             | features of the episode                                    |
    | `units`   | (MOST, 3 + U)    | `DECIDED` and features of each unit, in order of decision  |
    | `mask`    | (MOST,)          | 1 for a unit, 0 for padding                                |
    | `edges`   | (MOST, MOST)     | 1 if a layer reads one unit (row) and produces the other   |
    """

    name = "graph"
    summary = "all units at once, in a Dict of padded arrays with a mask; see docs/suites.md"

    def __init__(self, allocation: Allocation) -> None:
        units = len(allocation.budget.channels)
        if units > MOST:
            raise ValueError(
                f"observation='graph' holds {MOST} units, but the network has {units}: choose "
                "observation='comparable'"
            )
        facts = Facts(allocation, f"observation={self.name!r}")
        self._episode = EpisodeFeatures(allocation, facts)
        self._channels = facts.channels
        self._units = np.zeros((MOST, len(DECIDED) + len(UNIT)), dtype=np.float32)
        self._units[:units, len(DECIDED) :] = unit_table(facts)
        self._mask = (np.arange(MOST) < units).astype(np.float32)
        self._edges = np.zeros((MOST, MOST), dtype=np.float32)
        self._edges[:units, :units] = facts.edges

    @classmethod
    def space(cls) -> spaces.Dict:
        """Return a `Dict` of `Box(0, 1, ..., float32)`."""
        shapes = {
            "episode": (len(EPISODE),),
            "units": (MOST, len(DECIDED) + len(UNIT)),
            "mask": (MOST,),
            "edges": (MOST, MOST),
        }
        return spaces.Dict(
            {key: spaces.Box(0.0, 1.0, shape, np.float32) for key, shape in shapes.items()}
        )

    def observe(self, executed: Sequence[int]) -> dict[str, np.ndarray]:
        """Return the observation after ``executed`` counts are decided."""
        rows = self.observe_all(np.array([executed], dtype=np.int64))
        return {key: value[0] for key, value in rows.items()}

    def observe_all(self, executed: np.ndarray) -> dict[str, np.ndarray]:
        """Return the observations of n episodes at one unit, counts (n, t): n rows for each key."""
        n, t = executed.shape
        units = np.repeat(self._units[None], n, axis=0)
        units[:, :t, 0] = 1
        units[:, t : t + 1, 1] = 1 if t < len(self._channels) else 0
        units[:, : len(self._channels), 2] = 1
        units[:, :t, 2] = executed / self._channels[:t]
        return {
            "edges": np.repeat(self._edges[None], n, axis=0),
            "episode": self._episode.table(executed).astype(np.float32),
            "mask": np.repeat(self._mask[None], n, axis=0),
            "units": units,
        }
