"""Results of a finished episode: its plan, and the info of its last step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amc_gym._utils.provenance import versions
from amc_gym.compression.cost import Cost
from amc_gym.compression.evaluation.scoring import Scored
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.plan import CompressionPlan, Measured
from amc_gym.engine.engine import Engine
from amc_gym.tasks.task import CompressionTask


def reported_costs(engine: Engine, budgeted: Cost, latency: LatencyCost | None) -> dict[str, Cost]:
    """Return the costs that plans and infos state: field of ``Measured`` -> its cost model.

    Args:
        engine: of the task.
        budgeted: cost in the budget's resource.
        latency: latency model, if latency is measured.
    """
    costs: dict[str, Cost] = dict(engine.costs)
    if latency is not None:
        costs["latency_ns"] = latency
    if budgeted not in costs.values():
        costs["cost"] = budgeted
    return costs


def finished_plan(
    task: CompressionTask,
    engine: Engine,
    costs: Mapping[str, Cost],
    options: dict[str, Any],
    counts: tuple[int, ...],
    found: Scored,
) -> CompressionPlan:
    """Return the plan of an episode from its counts and its score.

    Args:
        task: what was compressed.
        engine: of the environment.
        costs: see ``reported_costs``.
        options: with defaults resolved.
        counts: of each unit.
        found: score on the reward images.
    """
    return CompressionPlan(
        **engine.decisions(counts),
        task=dict(task.source),
        options=options,
        fingerprints=task.fingerprints,
        measured=Measured(
            score=found.score,
            images=found.images,
            **{name: cost.total(counts) for name, cost in costs.items()},
        ),
        versions=versions(),
    )


def terminal_info(plan: CompressionPlan, costs: Mapping[str, Cost]) -> dict[str, Any]:
    """Return what the last step adds to ``info``, flat, as vector environments need it.

    Args:
        plan: of the episode.
        costs: see ``reported_costs``.
    """
    found = {name: getattr(plan.measured, name) for name in costs}
    ratios = {
        f"{name.removesuffix('_ns')}_ratio": found[name] / cost.full for name, cost in costs.items()
    }
    scores = dict.fromkeys(sorted({plan.score_name, "score"}), plan.measured.score)
    return {**scores, **found, **ratios, "plan": plan.to_json()}
