"""Summaries of trials: scores of agents by group, family and number of training networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property

import numpy as np

from amc_gym.zoo.small import store
from benchmarks.reports.statistics import Estimate
from benchmarks.transfer.intervals import Scores, estimate, scores
from benchmarks.transfer.policies import by_label, label, networks
from benchmarks.transfer.rows import AFTER, Row

GROUPS = {
    "train": "networks and budgets that policies were trained on",
    "budgets": "known networks at other budgets",
    "members": "new members of known families",
    "family": "a family never seen",
    "cifar10": "networks for CIFAR-10",
}
"""Group of contexts -> what it is, from near to far."""

ZERO_SHOT = {
    "error-allocation": 1,
    "loss-allocation": 1,
    "output-allocation": 1,
    "random-shares": 100,
}
"""Agent that one plan of a policy is compared with -> its evaluations."""

COMPARED = (
    (1, "uniform", 1),
    (1, "deep", 1),
    (1, "error-allocation", 1),
    (1, "loss-allocation", 1),
    (1, "output-allocation", 1),
    (1, "random-shares", 100),
    (4, "gp", 40),
    (10, "loss-allocation", 40),
    (40, "cma-es", 400),
)
"""Evaluations of a policy, and what it should match: an agent and its evaluations."""


def groups_of(rows: Sequence[Row]) -> list[str]:
    """Return the groups of the rows, from near to far, then unknown ones in order of appearance."""
    found = dict.fromkeys(row["group"] for row in rows)
    return [*(g for g in GROUPS if g in found), *(g for g in found if g not in GROUPS)]


def titled(group: str) -> str:
    """Describe a group for titles."""
    return f"{group}: {GROUPS[group]}" if group in GROUPS else group


def counted(n: int, what: str) -> str:
    """Return "1 network" or "2 networks"."""
    return f"{n} {what}{'s'[: n != 1]}"


def evaluated(name: str) -> str:
    """Name an agent with its evaluations, where it is compared with one plan of a policy."""
    after = ZERO_SHOT.get(name, 1)
    return f"{name}, best of {after}" if after > 1 else f"{name}, first plan"


def policies_of(rows: Sequence[Row]) -> list[str]:
    """Return the labels of agents that apply a policy, in order of appearance."""
    return list(dict.fromkeys(label(row) for row in rows if row["policy"]))


Curves = Mapping[str, Mapping[int, Estimate]]
"""Agent, or another line's name -> evaluations, or networks -> score."""

Difference = tuple[str, int, str, int]
"""A policy and its evaluations, and an agent and its evaluations."""


class Summary:
    """Summary of rows; each part is computed on first use.

    Args:
        rows: rows of trials.

    Attributes:
        rows: rows of trials.
        groups: groups of contexts, from near to far.
        policies: labels of agents that apply a policy.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.groups = groups_of(rows)
        self.policies = policies_of(rows)
        self._one_plan = {**dict.fromkeys(self.policies, 1), **ZERO_SHOT}

    def of(self, group: str) -> list[Row]:
        """Return the rows of a group."""
        return [row for row in self.rows if row["group"] == group]

    @cached_property
    def curves(self) -> dict[str, Curves]:
        """Group -> agent -> evaluations -> score over its contexts."""
        return {group: _curves(self.of(group)) for group in self.groups}

    @cached_property
    def zero_shot(self) -> dict[str, dict[str, Scores]]:
        """Family -> agent -> scores of a policy's one plan, and of the agents it is compared with.

        A network that belongs to no family of the zoo is its own family; families that were seen in
        training come first.
        """
        tested = [row for row in self.rows if row["group"] not in ("train", "budgets")]
        found: dict[str, dict[str, Scores]] = {}
        for group in groups_of(tested):
            mine = [row for row in tested if row["group"] == group]
            for family in dict.fromkeys(family_of(row["network"]) for row in mine):
                some = by_label([row for row in tested if family_of(row["network"]) == family])
                known = {
                    name: scores(some[name], n)
                    for name, n in self._one_plan.items()
                    if name in some
                }
                found[family] = {name: each for name, each in known.items() if len(each.values)}
        return {family: each for family, each in found.items() if each}

    @cached_property
    def gap(self) -> dict[str, dict[str, Estimate]]:
        """Agent -> group -> score of a policy's one plan, and of the agents it is compared with."""
        found: dict[str, dict[str, Estimate]] = {name: {} for name in self._one_plan}
        for group, curve in self.curves.items():
            for name, n in self._one_plan.items():
                if n in curve.get(name, {}):
                    found[name][group] = curve[name][n]
        return {name: each for name, each in found.items() if each}

    @cached_property
    def sizes(self) -> dict[str, Curves]:
        """Policy -> group -> training networks -> score of one plan.

        Trainings whose names do not say the number are left out, and so is a policy that was
        trained on a single number of networks.
        """
        found: dict[str, dict[str, dict[int, Estimate]]] = {}
        numbered = [row for row in self.rows if networks(row["policy"]) is not None]
        for name in policies_of(numbered):
            mine = [row for row in numbered if label(row) == name]
            known = sorted({networks(row["policy"]) or 0 for row in mine})
            if len(known) < 2:
                continue
            for group in groups_of(mine):
                for size in known:
                    some = [r for r in mine if r["group"] == group]
                    each = scores([r for r in some if networks(r["policy"]) == size], 1)
                    if len(each.values):
                        found.setdefault(name, {}).setdefault(group, {})[size] = estimate(each)
        return dict(found)

    @cached_property
    def differences(self) -> dict[str, dict[Difference, tuple[Estimate, int]]]:
        """Group -> comparison -> interquartile mean difference, and the number of networks.

        Differences are on the contexts that both have.
        """
        return {group: _differences(self.of(group)) for group in self.groups}

    def incomplete(self, group: str) -> list[str]:
        """Say which agents lack contexts of a group that others have; their means are of fewer."""
        mine = by_label(self.of(group))
        everything = {row["context"] for found in mine.values() for row in found}
        return [
            f"{name} has {n} of {len(everything)} contexts"
            for name, found in mine.items()
            if (n := len({row["context"] for row in found})) < len(everything)
        ]


def _curves(rows: Sequence[Row]) -> Curves:
    found: dict[str, dict[int, Estimate]] = {}
    for name, mine in by_label(rows).items():
        known = {n: scores(mine, n) for n in AFTER}
        found[name] = {n: estimate(each) for n, each in known.items() if len(each.values)}
    return found


def _differences(rows: Sequence[Row]) -> dict[Difference, tuple[Estimate, int]]:
    mine, found = by_label(rows), {}
    for policy in policies_of(rows):
        for n, agent, other in COMPARED:
            if agent in mine:
                rest = scores(mine[policy], n).minus(scores(mine[agent], other))
                if len(rest.values):
                    found[policy, n, agent, other] = estimate(rest), len(set(rest.networks))
    return found


@cache
def _families() -> dict[str, str]:
    return {name: card.family for name, card in store.read().networks.items()}


def family_of(network: str) -> str:
    """Return the family of a small network; any other network is its own family."""
    return _families().get(network, network)


def within(estimates: Iterable[Estimate], floor: float) -> np.ndarray:
    """Return values and ends of the intervals, none below ``floor``, (3, n).

    Without an interval, both ends equal the value.
    """
    found = np.array([(float(e.value), float(e.low), float(e.high)) for e in estimates]).T
    return np.maximum(np.where(np.isnan(found), found[0], found), floor)
