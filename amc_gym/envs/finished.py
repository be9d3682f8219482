"""What a finished episode leaves behind: its plan, and what the last step says about it."""

from __future__ import annotations

from typing import Any

from amc_gym._utils.provenance import versions
from amc_gym.compression.evaluation.evaluator import Hits
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.plan import CompressionPlan
from amc_gym.engine.engine import Engine
from amc_gym.tasks.task import CompressionTask


def finished_plan(
    task: CompressionTask,
    engine: Engine,
    latency: LatencyCost | None,
    options: dict[str, Any],
    counts: tuple[int, ...],
    hits: Hits,
) -> CompressionPlan:
    """The plan of an episode that decided ``counts``, of which the evaluator said ``hits``.

    Where there is a latency model, the plan tells nanoseconds as well.
    """
    timed = {} if latency is None else {"latency_ns": latency.total(counts)}
    return CompressionPlan(
        **engine.decisions(counts),
        task=dict(task.source),
        options=options,
        fingerprints=task.fingerprints,
        measured={
            "accuracy": hits.accuracy(engine.options.metric),
            "images": hits.images,
            "macs": engine.costs["macs"].total(counts),
            "params": engine.costs["params"].total(counts),
            **timed,
        },
        versions=versions(),
    )


def terminal_info(
    plan: CompressionPlan, engine: Engine, latency: LatencyCost | None
) -> dict[str, Any]:
    """What the last step's info adds, flat: vector environments take nested dicts apart."""
    macs, params = plan.measured["macs"], plan.measured["params"]
    timed: dict[str, Any] = {}
    if latency is not None:
        ns = plan.measured["latency_ns"]
        timed = {"latency_ns": ns, "latency_ratio": ns / latency.full}
    return {
        "accuracy": plan.measured["accuracy"],
        "macs": macs,
        "params": params,
        "macs_ratio": macs / engine.costs["macs"].full,
        "params_ratio": params / engine.costs["params"].full,
        **timed,
        "plan": plan.to_json(),
    }
