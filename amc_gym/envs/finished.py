"""Outcome of a finished episode: its plan, and what the last step says about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amc_gym._utils.provenance import versions
from amc_gym.compression.cost import Cost
from amc_gym.compression.evaluation.evaluator import Hits
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.plan import CompressionPlan, Measured
from amc_gym.engine.engine import Engine
from amc_gym.tasks.task import CompressionTask


def told_costs(engine: Engine, budgeted: Cost, latency: LatencyCost | None) -> dict[str, Cost]:
    """Costs that plans and infos tell: field of ``Measured`` -> its cost model.

    Args:
        engine: whose plans they are.
        budgeted: cost in the budget's resource.
        latency: where it was measured.
    """
    told: dict[str, Cost] = dict(engine.costs)
    if latency is not None:
        told["latency_ns"] = latency
    if budgeted not in told.values():
        told["cost"] = budgeted
    return told


def finished_plan(
    task: CompressionTask,
    engine: Engine,
    costs: Mapping[str, Cost],
    options: dict[str, Any],
    counts: tuple[int, ...],
    hits: Hits,
) -> CompressionPlan:
    """The plan of an episode that decided ``counts``, of which the evaluator said ``hits``.

    Args:
        task: what was compressed.
        engine: of the environment.
        costs: see ``told_costs``.
        options: as resolved.
        counts: of each unit.
        hits: on the reward images.
    """
    return CompressionPlan(
        **engine.decisions(counts),
        task=dict(task.source),
        options=options,
        fingerprints=task.fingerprints,
        measured=Measured(
            accuracy=hits.accuracy(engine.options.metric),
            images=hits.images,
            **{name: cost.total(counts) for name, cost in costs.items()},
        ),
        versions=versions(),
    )


def terminal_info(plan: CompressionPlan, costs: Mapping[str, Cost]) -> dict[str, Any]:
    """Entries that the last step's info adds, flat: vector environments take nested dicts apart.

    Args:
        plan: of the episode.
        costs: see ``told_costs``.
    """
    found = {name: getattr(plan.measured, name) for name in costs}
    ratios = {
        f"{name.removesuffix('_ns')}_ratio": found[name] / cost.full for name, cost in costs.items()
    }
    return {"accuracy": plan.measured.accuracy, **found, **ratios, "plan": plan.to_json()}
