"""Validation of a plan: everything that it claims is recomputed from the task."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import floor, lcm
from pathlib import Path
from typing import Any

from amc_gym._utils import documents
from amc_gym._utils.names import choose, printable
from amc_gym._utils.own_code import is_code
from amc_gym.compression.cost import REPORTED, RESOURCES, Cost, ResourceLike, resource_of
from amc_gym.compression.evaluation.batch_size import batch_size
from amc_gym.compression.evaluation.evaluator import PRECISIONS
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.latency.layers import geometries
from amc_gym.compression.latency.table import LatencyTable
from amc_gym.compression.latency.timing import LatencyError
from amc_gym.compression.plan import ACCURACY, CompressionPlan, Measured, PlanError
from amc_gym.compression.plan_schema import OptionsSchema
from amc_gym.compression.pruning import PRUNINGS
from amc_gym.compression.recovery import RecoveryLike
from amc_gym.compression.tracing.part import given_to
from amc_gym.engine.cache import engines
from amc_gym.engine.latency import cache_folder
from amc_gym.envs.actions import ACTION_MODES
from amc_gym.envs.budget import admissible, exact
from amc_gym.envs.rewards import REWARDS
from amc_gym.envs.sparsity import per_unit
from amc_gym.tasks.objectives import Objective
from amc_gym.tasks.task import CompressionTask
from amc_gym.training.scores import score
from amc_gym.workflows.compression import compress, pair

IMAGES, SHARE = 2, 0.002
"""Images that another machine's rounding may change the class of: a number, or a share of all."""

UNKNOWN = {
    "latency_ns": "the latency table that the plan was made with was not found; pass its file "
    "as latency_table (--latency-table)",
    "cost": "it is counted by a user's function, and a file alone never runs code; pass that "
    "function as resource",
}
"""Claims that cannot always be checked -> what is missing, and the fix."""

FEW = 0.1
"""Upper limit of the tolerance, for tasks of so few images that two are a larger share."""


@dataclass(frozen=True)
class Validation:
    """Result of replaying a plan: its claims, and what was found.

    Attributes:
        claimed: score, MACs, parameters, and other costs that the plan states.
        found: the same as computed here; other costs only where they are known.
        problems: every claim that does not hold, one line each.
        unproven: claims that can be neither proven nor refuted here.
        budget_judged: whether the budget could be checked; a latency budget needs its table, a
            budget in a user's own resource that resource.
    """

    claimed: dict[str, float]
    found: dict[str, float]
    problems: tuple[str, ...]
    unproven: tuple[str, ...] = ()
    budget_judged: bool = True

    @property
    def ok(self) -> bool:
        """Whether every claim that can be proven holds."""
        return not self.problems


def validate(
    task: CompressionTask,
    plan: CompressionPlan,
    *,
    latency_table: str | Path | None = None,
    recovery: RecoveryLike | None = None,
    resource: ResourceLike | None = None,
) -> Validation:
    """Replay a plan and compare the results with everything it claims.

    The network is built, counted and run in float32, on the reward images that the plan used.
    MACs, parameters and the budget must hold exactly, the score within ``tolerance``, and the
    decisions must be allowed by the options.

    Args:
        task: what was compressed.
        plan: the plan to check.
        latency_table: file of the latency table that the plan was made with; by default the table
            with that fingerprint in this machine's cache.
        recovery: the recovery function, if the plan was made with one; a file never runs code.
        resource: the resource function, likewise; without it a budget in that resource cannot be
            checked.

    Raises:
        PlanError: the plan belongs to another network or other data, or its options are invalid.
        LatencyError: the file is not a latency table, or is one of another network.
        OSError: the table cannot be read.
    """
    task, plan = pair(task, plan)
    if plan.fingerprints.get("reward") != task.fingerprints["reward"]:
        raise PlanError("the plan was made with other reward images: pass the task of the plan")
    options = _checked_options(task, plan)
    network = compress(task, plan, recovery)
    channels = engines.analysis(task).graph
    pruning = PRUNINGS[options["granularity"]]
    graph = pruning.units(task.model, channels)
    split = task.reward.first(options["reward_images"])
    # Use the batches of the search: norms without running statistics use those of the batch.
    size = batch_size(graph, len(split))
    found: dict[str, float] = {plan.score_name: score(network, split, _objective(task, plan), size)}
    costs = dict(_known_costs(task, graph, plan, resource, latency_table))
    found |= {name: cost.total(plan.counts) for name, cost in costs.items()}
    full: dict[str, float] = {name: cost.full for name, cost in costs.items()}
    for name in REPORTED:
        given = given_to(task.model, task.part, task.example)
        counted = RESOURCES[name], channels, given
        found[name] = _whole(pruning.count(network.get_submodule(task.part), *counted))
        if options["resource"] == name:
            whole = task.model.get_submodule(task.part)
            full[name] = _whole(pruning.count(whole, *counted))
    problems = [
        *_false_counts(plan.measured, found),
        *_false_score(plan, found[plan.score_name], len(split), len(task.reward)),
        *_forbidden_decisions(plan, graph),
        *_broken_budget(options, found, full),
    ]
    claimed = {name: getattr(plan.measured, name) for name in (*found, *UNKNOWN)}
    unknown = [name for name in UNKNOWN if name not in found and claimed[name] is not None]
    judged = options["preserve_ratio"] is None or _field(options["resource"]) not in unknown
    claims = {
        name: math.nan if claimed[name] is None else claimed[name] for name in (*found, *unknown)
    }
    unproven = tuple(
        f"{name if judged else f'the budget and {name}'}: {UNKNOWN[name]}" for name in unknown
    )
    return Validation(claims, found, tuple(problems), unproven, judged)


def _whole(counted: int | None) -> int:
    assert counted is not None, "MACs and parameters are always countable"
    return counted


def _field(resource: str) -> str:
    """Return the field of ``Measured`` that holds the cost in a resource."""
    return {"macs": "macs", "params": "params", "latency": "latency_ns"}.get(resource, "cost")


def _known_costs(
    task: CompressionTask,
    graph: ChannelGraph,
    plan: CompressionPlan,
    resource: ResourceLike | None,
    latency_table: str | Path | None,
) -> Iterator[tuple[str, Cost]]:
    """Yield (field, cost) of resources that are not counted on a network, if known here."""
    name = plan.options["resource"]
    if _field(name) == "cost":
        if resource is not None and (given := resource_of(resource).name) != name:
            raise PlanError(f"the plan's budget counts {name}, not {given}")
        if resource is not None or not is_code(name):
            yield "cost", resource_of(name if resource is None else resource).of_channels(graph)
    latency = _latency(task, graph, plan, latency_table)
    if latency is not None:
        yield "latency_ns", latency


def _objective(task: CompressionTask, plan: CompressionPlan) -> Objective:
    """Return the task's objective with the metric that the plan was evaluated by."""
    metric, objective = plan.options["metric"], task.objective
    if objective.classifies and plan.score_name == ACCURACY:
        return objective.by(metric)
    if objective.name != metric:
        raise PlanError(
            f"the plan was evaluated by {printable(metric, 200)!r}, and the task by "
            f"{objective.name!r}: pass the task that it was made for"
        )
    return objective


def tolerance(images: int) -> float:
    """Return the accuracy difference, in [0, 1], that rounding may cause on ``images`` images."""
    return max(min(IMAGES / images, FEW), SHARE)


def _checked_options(task: CompressionTask, plan: CompressionPlan) -> Mapping[str, Any]:
    options = plan.options
    try:
        documents.check(OptionsSchema, options)
        if not is_code(options["reward"]):  # a user's own function, of which only the name is known
            choose("reward", options["reward"], REWARDS)
        choose("action mode", options["action_mode"], ACTION_MODES)
        choose("precision", options["precision"], PRECISIONS)
    except ValueError as error:
        raise PlanError(f"the plan's options are invalid: {error}") from error
    n = options["reward_images"]
    if n > len(task.reward):
        raise PlanError(f"the plan claims {n} reward images, but the task has {len(task.reward)}")
    known = REWARDS.get(options["reward"])
    timed = options["resource"] == "latency" or (known is not None and known.timed)
    if timed and ("latency" not in options or plan.measured.latency_ns is None):
        raise PlanError("the plan is about latency but names no latency table: make it again")
    if _field(options["resource"]) == "cost" and plan.measured.cost is None:
        raise PlanError(
            f"the plan's budget counts {options['resource']}, but the plan does not state that cost"
        )
    return options


def _latency(
    task: CompressionTask,
    graph: ChannelGraph,
    plan: CompressionPlan,
    path: str | Path | None,
) -> LatencyCost | None:
    """Return the cost model of the plan's latency, if its table is known."""
    named = plan.options.get("latency")
    if named is None:
        return None
    if path is None:
        table = _cached(named["table"])
    else:
        table = LatencyTable.load(Path(path))
        if table.fingerprint != named["table"]:
            raise LatencyError(f"{path} is not the latency table that the plan was made with")
    return None if table is None else LatencyCost(graph, geometries(task.model, graph), table)


def _cached(fingerprint: str) -> LatencyTable | None:
    """Return the latency table with a fingerprint from this machine's cache, if there is one."""
    for path in sorted(cache_folder().glob("*.json")):
        try:
            table = LatencyTable.load(path)
        except (LatencyError, OSError):
            continue  # not a readable table
        if table.fingerprint == fingerprint:
            return table
    return None


def _false_counts(measured: Measured, found: Mapping[str, float]) -> Iterator[str]:
    """Yield costs that are not whole numbers or differ from what was found."""
    for name in (*REPORTED, *UNKNOWN):
        claim = getattr(measured, name)
        if name not in found:
            if claim is not None and not (type(claim) is int and claim > 0):
                yield f"{name}: claimed {claim!r:.80}, which is no valid cost"
        elif type(claim) is not int or claim != found[name]:
            yield f"{name}: claimed {claim!r:.80}, found {found[name]}"


def _false_score(plan: CompressionPlan, found: float, images: int, reward: int) -> Iterator[str]:
    measured = plan.measured
    if type(measured.images) is not int or measured.images != images:
        yield f"images: claimed {measured.images!r:.80}, evaluated on {images}"
    claim: object = measured.score  # may be anything in a plan made in Python
    allowed = tolerance(reward)
    share = claim if isinstance(claim, int | float) and not isinstance(claim, bool) else math.nan
    if not 0 <= share <= 1 or not abs(share - found) <= allowed + 1e-12:
        yield f"{plan.score_name}: claimed {claim!r:.80}, found {found}, tolerance {allowed}"


def _forbidden_decisions(plan: CompressionPlan, graph: ChannelGraph) -> Iterator[str]:
    """Yield decisions and costs that no episode with these options could have reached."""
    options, units = plan.options, graph.units
    kinds = [graph.layers[unit.consumers[0]].kind for unit in units]
    try:
        ratios = per_unit(options["max_sparsity"], kinds)
    except (ValueError, TypeError) as error:
        raise PlanError(f"the plan's options are invalid: {error}") from error
    for unit, count, ratio in zip(units, plan.counts, ratios, strict=True):
        allowed = admissible(unit.channels, ratio, lcm(options["channel_multiple"], unit.blocks))
        if count not in allowed:
            yield (
                f"decisions: {count} of {unit.channels} are kept of unit {unit.name!r}, which "
                f"max_sparsity and channel_multiple do not allow"
            )


def _broken_budget(
    options: Mapping[str, Any], found: Mapping[str, float], full: Mapping[str, float]
) -> Iterator[str]:
    ratio, resource = options["preserve_ratio"], options["resource"]
    field = _field(resource)
    if ratio is None or field not in found:
        return
    cost, limit = found[field], floor(exact(ratio) * full[field])
    if not cost <= limit:
        yield (
            f"budget: {cost:,} {resource}, but {100 * ratio:.4g} % of the network's "
            f"{full[field]:,} are {limit:,}"
        )
