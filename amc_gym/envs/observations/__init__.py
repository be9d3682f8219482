"""Observations: what an agent sees before it decides a unit.

paper        eleven features, scaled over the units of one network
comparable   features in absolute scales, the same on every network and budget
graph        all units at once, for attention and message passing
"""

from amc_gym.envs.observations.comparable import Comparable
from amc_gym.envs.observations.graph import Graph
from amc_gym.envs.observations.observation import Observation
from amc_gym.envs.observations.paper import Paper

OBSERVATIONS: dict[str, type[Observation]] = {
    each.name: each for each in (Paper, Comparable, Graph)
}
"""Name -> observation."""

__all__ = ["OBSERVATIONS", "Observation"]
