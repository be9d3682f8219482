"""From a plan to a smaller network, and to its file."""

from __future__ import annotations

import os

import gymnasium as gym
from torch import nn

from amc_gym._utils.arguments import described, truth
from amc_gym._utils.arguments import path as path_of
from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.names import printable
from amc_gym._utils.provenance import versions
from amc_gym.compression.handover import export as hand_over
from amc_gym.compression.plan import CompressionPlan, PlanError
from amc_gym.compression.pruning import PRUNINGS
from amc_gym.compression.recovery import Chain, RecoveryLike, chain
from amc_gym.compression.recovery.chain import is_own
from amc_gym.engine.cache import engines
from amc_gym.tasks.admission import unwrapped
from amc_gym.tasks.heads import left_out, without
from amc_gym.tasks.task import CompressionTask
from amc_gym.training.scores import score
from amc_gym.zoo import named_tasks
from amc_gym.zoo.resolving import TaskLike, resolve


@recorded
def compress(
    task: CompressionTask, plan: CompressionPlan, recovery: RecoveryLike | None = None
) -> nn.Module:
    """Build the smaller network of a plan: a new module, in eval mode, batch norm not folded.

    On a CPU, a recovery that trains ("finetune") runs on one thread, so that its weights are the
    same, bit for bit, for any number of threads; other recoveries may differ by rounding.

    Args:
        task: what was compressed.
        plan: the channels or weights to keep.
        recovery: how the kept weights make up for the pruned ones; by default as in the search.
            "nonlinear" takes a pass over the calibration images and is worth it.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: the task or the recovery is unknown.
        PlanError: the plan belongs to another network or other calibration images.
    """
    task, plan = pair(task, plan)
    check_made_for(task, plan)
    steps = recovery_of(plan) if recovery is None else chain(recovery)
    return PRUNINGS[plan.options["granularity"]].replay(plan, engines.analysis(task), steps)


def check_made_for(task: CompressionTask, plan: CompressionPlan) -> None:
    """Refuse a plan that was made for another task.

    Raises:
        PlanError: the plan belongs to another network or other calibration images.
    """
    both = plan.fingerprints.keys() & task.fingerprints.keys()  # older plans lack the last two
    for what in ("model", "calibration", *({"logits", "outputs"} & both)):
        if plan.fingerprints.get(what) != task.fingerprints[what]:
            raise PlanError(
                f"the plan was made for another {what} than the task's "
                f"({plan.fingerprints.get(what)} is not {task.fingerprints[what]})"
            )


def recovery_of(plan: CompressionPlan) -> Chain:
    """Return the recovery that a plan was made with.

    Raises:
        PlanError: it is a user's function, which a file alone must not run.
    """
    name = plan.options["recovery"]
    if own := [step for step in name.split("+") if is_own(step)]:
        fix = "amc_gym.compress(task, plan, recovery=...)"
        raise PlanError(
            f"the plan was recovered by {printable(own[0], 200)!r}, and a file alone never runs "
            f"code: pass the function, {fix}"
        )
    return chain(name)


def pair(task: TaskLike, plan: CompressionPlan) -> tuple[CompressionTask, CompressionPlan]:
    """Return the task itself and the plan, after checking both.

    Raises:
        TypeError: one of them has another type.
        ValueError: there is no such task.
    """
    if isinstance(task, gym.Env):
        raise TypeError("task must be a CompressionTask, not an environment: env.unwrapped.task")
    if not isinstance(plan, CompressionPlan):
        raise TypeError(
            f"plan must be a CompressionPlan, not {described(plan)}: read it from a file by "
            "amc_gym.CompressionPlan.load(path), or take an environment's, env.unwrapped.plan"
        )
    return resolve(task), plan


@recorded
def export(
    network: nn.Module,
    task: CompressionTask,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    overwrite: bool = False,
) -> hand_over.Exported:
    """Write a compressed network, verified on reward images; see ``compression.handover.export``.

    Args:
        network: from ``compress`` or ``finetune``.
        task: what it was compressed from.
        path: the file, ending in ".safetensors", ".pt2" or ".onnx".
        format: "safetensors", "torch-export" or "onnx"; ``None``: chosen by the suffix.
        overwrite: whether to replace existing files.
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"network must be a torch.nn.Module, not {described(network)}")
    task, overwrite = resolve(task), truth("overwrite", overwrite)
    path = path_of("path", path)
    images = task.reward.batch(slice(hand_over.VERIFIED))
    heads, source = left_out(task.model), dict(task.source)
    objective = task.objective.by("top1" if task.objective.classifies else None)
    found = score(network, task.reward, objective)
    return hand_over.export(
        network,
        path,
        original=task.model,
        images=images,
        part=task.part,
        format=format,
        fields={
            "original": {
                "task": source["task"],
                "dataset": source.get("dataset"),
                **({"classes": task.classes} if objective.classifies else {}),
                **({"left_out": heads} if heads else {}),
            },
            "reward": {
                **({"top1": found} if objective.classifies else {"score": found}),
                "images": len(task.reward),
            },
            "versions": versions(),
        },
        overwrite=overwrite,
    )


@recorded
def load(
    path: str | os.PathLike[str],
    model: nn.Module | None = None,
    *,
    task: TaskLike | None = None,
) -> nn.Module:
    """Return the compressed network of a safetensors file that ``export`` wrote, in eval mode.

    The original is built without its weights, by the name in the file's description.  A name such
    as "package.module:function" is refused, because whoever wrote the file would have that code
    run; pass ``model`` or ``task`` instead.

    Args:
        path: the file; its description is beside it.
        model: the original network; needed for tasks made from objects.
        task: used instead of ``model``: the task that was compressed, as "package.module:function",
            such a function, or a task.

    Raises:
        ExportError: a file is damaged, or describes another network.
        OSError: a file is missing.
        ValueError: the description names no registered network, and no ``model`` or ``task`` is
            given.
    """
    path = path_of("path", path)
    if model is not None and not isinstance(model, nn.Module):
        raise TypeError(f"model must be the original torch.nn.Module, not {described(model)}")
    if model is not None:
        original = hand_over.read_description(path).get("original") or {}
        model = without(unwrapped(model), original.get("left_out", ()))
    else:
        model = named_tasks.original_of(path) if task is None else resolve(task).model
    return hand_over.load(path, model)
