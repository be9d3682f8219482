"""Features of units and of the episode that mean the same on every network, each in [0, 1].

Scales are absolute: 64 channels have the same value in every network.  Values beyond the end of a
scale are clipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log2, log10

import numpy as np

from amc_gym.envs.allocation import Allocation
from amc_gym.envs.observations.facts import SHARES, Facts


@dataclass(frozen=True)
class Feature:
    """A number in [0, 1] for each unit.

    Attributes:
        name: a word or two.
        meaning: what is scaled, and how.
        of: function from ``Facts`` to (T,).
    """

    name: str
    meaning: str
    of: Callable[[Facts], np.ndarray]


def _log2(values: object, most: float) -> np.ndarray:
    """Scale logarithmically, so that 1 becomes 0 and ``most`` becomes 1."""
    return np.log2(np.maximum(np.asarray(values, dtype=float), 1)) / np.log2(most)


def _of_first(attribute: str, most: float) -> Callable[[Facts], np.ndarray]:
    """Return a function that scales an attribute of each unit's first reader logarithmically."""
    return lambda facts: _log2([getattr(layer, attribute) for layer in facts.first], most)


def _decades(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scale logarithmically, so that 10^low becomes 0 and 10^high becomes 1."""
    return (np.log10(np.maximum(values, 1e-300)) - low) / (high - low)


UNIT = (
    Feature("channels", "log2 of the unit's channels / 12", lambda f: _log2(f.channels, 4096)),
    Feature(
        "outputs",
        "log2 of the first reader's outputs / 12",
        lambda f: _log2([len(layer.outputs) for layer in f.first], 4096),
    ),
    Feature("height", "log2 of its input's height / 10", _of_first("height", 1024)),
    Feature("width", "log2 of its input's width / 10", _of_first("width", 1024)),
    Feature("stride", "log2 of its stride / 4", _of_first("stride", 16)),
    Feature("kernel", "log2 of its kernel's side / 4", _of_first("kernel", 16)),
    Feature(
        "linear",
        "1 if it is a linear layer",
        lambda f: np.array([float(x.kind == "linear") for x in f.first]),
    ),
    Feature("depthwise", "1 if a depthwise convolution filters the unit", lambda f: f.depthwise),
    Feature("joined", "1 if the first reader reads other units, too", lambda f: f.joined),
    Feature("readers", "log2 of the layers that read the unit / 6", lambda f: _log2(f.readers, 64)),
    Feature("makers", "log2 of the layers that make it / 6", lambda f: _log2(f.makers, 64)),
    Feature("blocks", "log2 of its blocks of equally many / 6", lambda f: _log2(f.blocks, 64)),
    Feature("least", "share of its channels that must stay", lambda f: f.least),
    Feature("cost", "share of the cost in layers that touch it", lambda f: f.cost),
    Feature("log cost", "the same, 1 + log10 / 4", lambda f: _decades(f.cost, -4, 0)),
    Feature("savable", "share of the cost that it saves alone, at most", lambda f: f.savable),
    Feature("after", "share of the cost in layers after the first reader", lambda f: f.after),
    Feature("uniform", "share that the uniform plan keeps of it", lambda f: f.uniform),
    Feature("least error", "share that the plan of least error keeps", lambda f: f.least_error),
    Feature("least loss", "the same, errors weighted by sensitivity", lambda f: f.least_loss),
    Feature("between", "the same, weighted by the root of sensitivity", lambda f: f.between),
    *(
        Feature(
            f"error at {share:g}",
            "relative error of its readers' outputs with that share of its best channels",
            lambda f, place=place: f.errors[:, place],
        )
        for place, share in enumerate(SHARES)
    ),
    Feature(
        "sensitivity",
        "nats that a relative error of 1 there adds to the loss, (6 + log10) / 8",
        lambda f: _decades(f.sensitivity, -6, 2),
    ),
    Feature(
        "sensitivity share",
        "the same as a share of all units' together",
        lambda f: f.sensitivity / max(f.sensitivity.sum(), 1e-300),
    ),
    Feature(
        "loss",
        "nats that the uniform plan's error there adds, (6 + log10) / 8",
        lambda f: _decades(f.loss, -6, 2),
    ),
)
"""Features of a unit, which no decision changes."""

EPISODE = (
    ("position", "units decided, as a share of all"),
    ("units", "log2 of the network's units / 8"),
    ("macs", "log10 of its MACs / 12"),
    ("params", "log10 of its parameters / 9"),
    ("budget", "share of the cost that may stay; 1 without a budget"),
    ("ratio", "share of the cost that there is now, the units to come being whole"),
    ("to save", "the share of the cost by which that is over the budget"),
    ("pressure", "the same as a share of what the units to come can save at most"),
    ("last", "share that was kept of the unit before"),
    ("last, log", "0.5 + log2 / 4 of that share against the plan of least error's"),
)
"""Names and meanings of the features of an episode."""


def unit_table(facts: Facts) -> np.ndarray:
    """Return the features ``UNIT`` of every unit, (T, features) in [0, 1]."""
    return np.clip(np.column_stack([feature.of(facts) for feature in UNIT]), 0, 1)


class EpisodeFeatures:
    """Features ``EPISODE`` of several episodes that are at the same unit.

    Args:
        allocation: of the problem.
        facts: of its units.
    """

    def __init__(self, allocation: Allocation, facts: Facts) -> None:
        engine, budget = allocation.engine, allocation.budget
        self._cost, self._channels = allocation.cost, np.array(budget.channels)
        self._least = np.array([counts[0] for counts in budget.admissible])
        self._least_error = facts.least_error
        limit, full = budget.limit, allocation.cost.full
        self._share = 1.0 if limit is None else limit / full
        units = len(self._channels)
        macs, params = (engine.costs[name].full for name in ("macs", "params"))
        constant = [log2(units) / 8, log10(macs) / 12, log10(params) / 9, self._share]
        self._constant = np.clip(constant, 0, 1)

    def table(self, executed: np.ndarray) -> np.ndarray:
        """Return the features (n, features) in [0, 1], for counts (n, t) of the units before."""
        n, t = executed.shape
        units = len(self._channels)
        plans = np.empty((2 * n, units), dtype=np.int64)
        plans[:n, :t] = plans[n:, :t] = executed
        plans[:n, t:], plans[n:, t:] = self._channels[t:], self._least[t:]
        costs = self._cost.totals(plans) / self._cost.full
        now, least = costs[:n], costs[n:]
        over = np.maximum(now - self._share, 0)
        rows = np.zeros((n, len(EPISODE)))
        rows[:, 0] = t / units
        rows[:, 1:5] = self._constant
        rows[:, 5], rows[:, 6] = now, over
        rows[:, 7] = over / np.maximum(now - least, 1e-12)
        rows[:, 8], rows[:, 9] = 1, 0.5
        if t:
            kept = executed[:, -1] / self._channels[t - 1]
            rows[:, 8] = kept
            rows[:, 9] = 0.5 + np.log2(kept / self._least_error[t - 1]) / 4
        return np.clip(rows, 0, 1)
