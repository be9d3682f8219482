"""Where tasks, engine and plans meet: from a plan to a network, and back to its claims."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from amc_gym.compression import recovery
from amc_gym.compression.cost import counted_macs, counted_params
from amc_gym.compression.plan import CompressionPlan, PlanError
from amc_gym.compression.reconstruction import refit
from amc_gym.compression.slim import slim
from amc_gym.tasks.datasets import Split
from amc_gym.tasks.engine import calibrate, channel_graph
from amc_gym.tasks.task import CompressionTask
from amc_gym.training import accuracy


def compress(task: CompressionTask, plan: CompressionPlan) -> nn.Module:
    """The physically smaller network of a plan: a new module, in eval mode, batch norm kept.

    Raises:
        PlanError: the plan belongs to another network or other calibration images.
    """
    for what in ("model", "calibration"):
        if plan.fingerprints.get(what) != task.fingerprints[what]:
            raise PlanError(
                f"the plan was made for another {what} than the task's "
                f"({plan.fingerprints.get(what)} is not {task.fingerprints[what]})"
            )
    graph = channel_graph(task)
    kept = plan.kept_channels(graph)
    weights = None
    if "reconstruct" in recovery.parse(plan.options["recovery"]):
        weights = refit(task.model, graph, calibrate(task), kept)
    return slim(task.model, graph, kept, weights)


@dataclass(frozen=True)
class Validation:
    """A replayed plan: what it claims and what was found."""

    claimed: dict[str, float]
    found: dict[str, float]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every claim holds."""
        return not self.problems


def validate(task: CompressionTask, plan: CompressionPlan) -> Validation:
    """Replay a plan: MACs and parameters exactly, accuracy within max(2 images, 0.2 %).

    The network is built, counted and run in float32, on the reward images that the plan used.

    Raises:
        PlanError: the plan belongs to another network or other data.
    """
    if plan.fingerprints.get("reward") != task.fingerprints["reward"]:
        raise PlanError("the plan was judged on other reward images than the task's")
    network = compress(task, plan)
    n = plan.options["reward_images"]
    split = Split(task.reward.images[:n], task.reward.labels[:n])
    found = {
        "accuracy": accuracy(network, split, plan.options["metric"]),
        "macs": counted_macs(network, task.example),
        "params": counted_params(network),
    }
    claimed = {name: plan.measured[name] for name in found}
    problems = [
        f"{name}: claimed {claimed[name]}, found {found[name]}"
        for name in ("macs", "params")
        if claimed[name] != found[name]
    ]
    tolerance = max(2 / len(split), 0.002)
    if abs(claimed["accuracy"] - found["accuracy"]) > tolerance + 1e-12:
        problems.append(
            f"accuracy: claimed {claimed['accuracy']}, found {found['accuracy']}, "
            f"tolerance {tolerance}"
        )
    return Validation(claimed, found, tuple(problems))
