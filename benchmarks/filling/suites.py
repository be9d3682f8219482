"""Tables of suites and of their observations, made from the code's own descriptions."""

from __future__ import annotations

from amc_gym._utils.names import choose
from amc_gym.envs.observations.features import EPISODE, UNIT
from amc_gym.envs.observations.graph import DECIDED
from amc_gym.suites.suite import bundled, suite_of
from benchmarks.reports import tables

FEATURES = {
    "episode": EPISODE,
    "unit": [(feature.name, feature.meaning) for feature in UNIT],
    "decided": DECIDED,
}
"""Kind of features -> name and meaning of each, in order."""


def features(kind: str) -> list[str]:
    """Return the features of the episode, of a unit, or of a unit in a graph, with indices."""
    listed = FEATURES[choose("kind of features", kind, FEATURES)]
    rows = [[str(place), name, meaning] for place, (name, meaning) in enumerate(listed)]
    return tables.markdown(["", "feature", "is"], rows, words=3)


def suites() -> list[str]:
    """Return every bundled suite and its groups."""
    rows = []
    for name in bundled():
        suite = suite_of(name)
        groups = dict.fromkeys(context.group for context in suite.contexts)
        rows += [
            [
                name,
                suite.summary,
                "" if group is None else group,
                str(len({c.network for c in suite.contexts if c.group == group})),
                str(sum(c.group == group for c in suite.contexts)),
            ]
            for group in groups
        ]
    return tables.markdown(["suite", "what for", "group", "networks", "contexts"], rows, words=3)
