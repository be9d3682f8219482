"""Points of the fronts: one for each network, several for each method and budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.finetuning.jobs import FULL, middle
from benchmarks.finetuning.outcomes import Outcome
from benchmarks.finetuning.paired import Difference, difference
from benchmarks.pareto.latencies import FULL as ORIGINAL
from benchmarks.pareto.latencies import Latency, name_of
from benchmarks.studies.records import Record


@dataclass(frozen=True)
class Point:
    """A network that one run of a method found for a budget.

    Attributes:
        agent: agent that found it, or ``FULL``.
        resource: of its budget; empty for the full network.
        budget: share of the resource.
        seed: of the run.
        macs: share of the full network's.
        latency: measured end to end.
        before: test accuracy before fine-tuning.
        against: difference to the full network that was trained further by the same recipe.
        right_before: share of fine-tuning seeds that classify each test image correctly, (images,),
            before fine-tuning; None: not fine-tuned.
        right_after: likewise after fine-tuning.
    """

    agent: str
    resource: str
    budget: float
    seed: int
    macs: float
    latency: Latency
    before: float
    against: Difference | None
    right_before: NDArray[np.float64] | None = None
    right_after: NDArray[np.float64] | None = None

    @property
    def method(self) -> str:
        """Name of the method, made of agent and resource."""
        return f"{self.agent}, {self.resource}" if self.resource else self.agent

    @property
    def after(self) -> float | None:
        """Test accuracy after fine-tuning, mean over its seeds; None: not fine-tuned."""
        return None if self.right_after is None else float(self.right_after.mean())


def by_method(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Return the fronts, without the full network's point, which is the first."""
    fronts: dict[str, list[Point]] = {}
    for point in points[1:]:
        fronts.setdefault(point.method, []).append(point)
    return fronts


def by_budget(points: Sequence[Point]) -> dict[tuple[str, float], list[Point]]:
    """Return the seeds of each method at each budget, the full network's point first, alone."""
    seeds: dict[tuple[str, float], list[Point]] = {}
    for point in points:
        seeds.setdefault((point.method, point.budget), []).append(point)
    return seeds


def chosen(records: Sequence[Record], n: int) -> list[Record]:
    """Return the ``n`` runs around the median reward of each agent in each setting."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.run.setting.digest, record.run.agent), []).append(record)
    return [run for runs in groups.values() for run in middle(runs, n)]


def points_of(
    records: Sequence[Record], outcomes: Sequence[Outcome], latencies: Mapping[str, Latency]
) -> list[Point]:
    """Return the full network's point first, then those of methods, budgets and seeds in order.

    Args:
        records: the runs whose plans are the points.
        outcomes: of the fine-tuning, including the full network; other plans are ignored.
        latencies: result of ``measured``.
    """
    tuned: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        plan = FULL if outcome.plan is None else name_of(outcome.plan)
        tuned.setdefault(plan, []).append(outcome)
    after = {plan: [outcome.after.array for outcome in found] for plan, found in tuned.items()}
    full = after.pop(FULL, [])
    # Several searches end in the same plan.
    against = {plan: difference(bits, full) for plan, bits in after.items() if full}

    def right(name: str) -> list[NDArray[np.float64] | None]:
        """Return the shares of correct images before and after."""
        if name not in tuned:
            return [None, None]
        pairs = [(outcome.before.array, outcome.after.array) for outcome in tuned[name]]
        return list(np.mean(pairs, axis=0))

    whole = records[0].full
    points = [
        Point(
            FULL,
            "",
            1.0,
            0,
            1.0,
            latencies[ORIGINAL],
            whole.test_accuracy,
            None,
            *right(FULL),
        )
    ]
    for record in records:
        options, name = record.run.setting.options, name_of(record.best.plan)
        points.append(
            Point(
                record.run.agent,
                options["resource"],
                options["preserve_ratio"],
                record.run.seed,
                record.best.macs_ratio,
                latencies[name],
                record.best.test_accuracy,
                against.get(name),
                *right(name),
            )
        )
    return points[:1] + sorted(points[1:], key=lambda p: (p.method, -p.budget, p.seed))
