"""Outcome of a finished episode: its plan, and what the last step says about it."""

from __future__ import annotations

from typing import Any

from amc_gym._utils.provenance import versions
from amc_gym.compression.evaluation.evaluator import Hits
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.plan import CompressionPlan, Measured
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
    return CompressionPlan(
        **engine.decisions(counts),
        task=dict(task.source),
        options=options,
        fingerprints=task.fingerprints,
        measured=Measured(
            accuracy=hits.accuracy(engine.options.metric),
            images=hits.images,
            macs=engine.costs["macs"].total(counts),
            params=engine.costs["params"].total(counts),
            latency_ns=None if latency is None else latency.total(counts),
        ),
        versions=versions(),
    )


def terminal_info(
    plan: CompressionPlan, engine: Engine, latency: LatencyCost | None
) -> dict[str, Any]:
    """Entries that the last step's info adds, flat: vector environments take nested dicts apart."""
    found, costs = plan.measured, engine.costs
    timed: dict[str, Any] = {}
    if latency is not None and found.latency_ns is not None:
        ns = found.latency_ns
        timed = {"latency_ns": ns, "latency_ratio": ns / latency.full}
    return {
        "accuracy": found.accuracy,
        "macs": found.macs,
        "params": found.params,
        "macs_ratio": found.macs / costs["macs"].full,
        "params_ratio": found.params / costs["params"].full,
        **timed,
        "plan": plan.to_json(),
    }
