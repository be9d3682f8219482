"""What the fronts are made of: one point for each method and budget."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.finetuning.jobs import FULL, middle
from benchmarks.finetuning.outcomes import Outcome
from benchmarks.finetuning.paired import Difference, difference
from benchmarks.pareto.latencies import FULL as ORIGINAL
from benchmarks.pareto.latencies import Latency, name_of
from benchmarks.records import Record


@dataclass(frozen=True)
class Point:
    """A method at a budget: the run with the median reward of its seeds.

    Attributes:
        method: agent and the resource of its budget.
        budget: share of the resource.
        seed: of the run.
        macs: share of the full network's.
        latency: measured end to end.
        before: test accuracy before fine-tuning.
        after: and afterwards, mean over fine-tuning seeds; None: not fine-tuned.
        against: difference to the full network that was trained on alike.
    """

    method: str
    budget: float
    seed: int
    macs: float
    latency: Latency
    before: float
    after: float | None
    against: Difference | None


def chosen(records: Sequence[Record]) -> list[Record]:
    """The middle run of each agent in each setting."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.run.setting.digest, record.run.agent), []).append(record)
    return [middle(runs, 1)[0] for runs in groups.values()]


def points_of(
    records: Sequence[Record], outcomes: Sequence[Outcome], latencies: Mapping[str, Latency]
) -> list[Point]:
    """The full network first, then methods and budgets in order."""
    tuned: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        plan = FULL if outcome.plan is None else name_of(json.dumps(outcome.plan))
        tuned.setdefault(plan, []).append(outcome)
    full = [outcome.after.array for outcome in tuned.get(FULL, [])]
    whole = records[0].full
    points = [
        Point(
            "full network",
            1.0,
            0,
            1.0,
            latencies[ORIGINAL],
            whole.test_accuracy,
            float(np.mean(full)) if full else None,
            None,
        )
    ]
    for record in chosen(records):
        options, name = record.run.setting.options, name_of(json.dumps(record.best.plan))
        after = [outcome.after.array for outcome in tuned.get(name, [])]
        points.append(
            Point(
                f"{record.run.agent}, {options['resource']}",
                options["preserve_ratio"],
                record.run.seed,
                record.best.macs_ratio,
                latencies[name],
                record.best.test_accuracy,
                float(np.mean(after)) if after else None,
                difference(after, full) if after and full else None,
            )
        )
    return points[:1] + sorted(points[1:], key=lambda point: (point.method, -point.budget))


HEADER = ("method", "budget %", "MACs %", "ms", "faster", "before %", "after %", "against full")


def cells(point: Point) -> list[str]:
    """A row of the table."""
    latency = point.latency
    return [
        point.method,
        f"{100 * point.budget:.0f}",
        f"{100 * point.macs:.1f}",
        f"{latency.ms:.3f}",
        f"{latency.faster:.2f} x [{latency.faster_low:.2f}, {latency.faster_high:.2f}]",
        f"{100 * point.before:.2f}",
        "" if point.after is None else f"{100 * point.after:.2f}",
        "" if point.against is None else str(point.against),
    ]


def as_csv(points: Sequence[Point]) -> str:
    """In full precision."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    names = ("method", "budget", "seed", "macs", "ms", "ms_low", "ms_high")
    names += ("faster", "faster_low", "faster_high", "before", "after", "difference", "low", "high")
    out.writerow(names)
    for p in points:
        t, d = p.latency, p.against
        timed = (t.ms, t.low, t.high, t.faster, t.faster_low, t.faster_high)
        against = ("", "", "") if d is None else (d.mean, d.low, d.high)
        after = "" if p.after is None else p.after
        out.writerow([p.method, p.budget, p.seed, p.macs, *timed, p.before, after, *against])
    return text.getvalue()
