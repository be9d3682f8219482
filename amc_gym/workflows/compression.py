"""Where tasks, engine, plans and training meet: from a plan to a network in the user's hands."""

from __future__ import annotations

import copy
import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
from torch import Tensor, nn

from amc_gym._utils.arguments import described, function, truth
from amc_gym._utils.arguments import path as path_of
from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.machine import device_of
from amc_gym._utils.names import printable
from amc_gym._utils.nests import samples
from amc_gym._utils.provenance import versions
from amc_gym.compression.handover import export as hand_over
from amc_gym.compression.plan import CompressionPlan, PlanError
from amc_gym.compression.pruning import PRUNINGS
from amc_gym.compression.pruning.cut import Cut
from amc_gym.compression.recovery import Chain, RecoveryLike, chain
from amc_gym.compression.recovery.chain import is_own
from amc_gym.engine.cache import engines
from amc_gym.tasks.admission import unwrapped
from amc_gym.tasks.gathering import DataLike, training_data_of
from amc_gym.tasks.heads import left_out, returns_logits_in_training, without
from amc_gym.tasks.split import Split
from amc_gym.tasks.task import SHARED_IMAGES, CompressionTask
from amc_gym.training.loop import train
from amc_gym.training.recipe import Recipe
from amc_gym.training.scores import score
from amc_gym.zoo import datasets, named_tasks
from amc_gym.zoo.resolving import TaskLike, resolve

logger = logging.getLogger(__name__)

FINETUNING = Recipe(
    epochs=30,
    batch_size=64,
    learning_rate=0.02,
    schedule="cosine",
    weight_decay=5e-4,
    distillation=0.5,
    precision="auto",
)
"""How networks are fine-tuned where the user does not say."""


def training_images(task: CompressionTask, data_root: str | Path | None = None) -> Split:
    """Return the training images of a registered network's data set.

    Raises:
        ValueError: the task is one of the user's own, which has none.
    """
    dataset = dict(resolve(task).source).get("dataset")
    if dataset is None:
        raise ValueError("a task of your own holds no training images: pass a split of them")
    return datasets.load(dataset, data_root).train


@recorded
def compress(
    task: CompressionTask, plan: CompressionPlan, recovery: RecoveryLike | None = None
) -> nn.Module:
    """Return the physically smaller network of a plan: a new module, in eval mode, batch norm kept.

    On a processor, a recovery that trains ("finetune") runs on one thread, and its weights are the
    same, bit for bit, whatever the number of threads; those of other recoveries differ by rounding.

    Args:
        task: what was compressed.
        plan: how.
        recovery: how the kept weights make up for the pruned ones; by default as in the search.
            "nonlinear" takes a pass over the calibration images and is worth it.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: there is no such task, or no such recovery.
        PlanError: the plan belongs to another network or other calibration images.
    """
    task, plan = pair(task, plan)
    check_made_for(task, plan)
    steps = recovery_of(plan) if recovery is None else chain(recovery)
    return PRUNINGS[plan.options["granularity"]].replay(plan, engines.analysis(task), steps)


def check_made_for(task: CompressionTask, plan: CompressionPlan) -> None:
    """Refuse a plan of another task.

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
    """Return the recovery that a plan names.

    Raises:
        PlanError: it is a user's function, which no file can make run.
    """
    name = plan.options["recovery"]
    if own := [step for step in name.split("+") if is_own(step)]:
        fix = "amc_gym.compress(task, plan, recovery=...)"
        raise PlanError(
            f"the plan was recovered by {printable(own[0], 200)!r}, whose code no file can make "
            f"run: pass the function, {fix}"
        )
    return chain(name)


def pair(task: TaskLike, plan: CompressionPlan) -> tuple[CompressionTask, CompressionPlan]:
    """Return a task and a plan as what they must be.

    Raises:
        TypeError: they are something else.
        ValueError: there is no such task.
    """
    if isinstance(task, gym.Env):
        raise TypeError("task must be a CompressionTask, not an environment: env.unwrapped.task")
    if not isinstance(plan, CompressionPlan):
        raise TypeError(
            f"plan must be a CompressionPlan, not {described(plan)}: one in a file is "
            "amc_gym.CompressionPlan.load(path), that of an environment env.unwrapped.plan"
        )
    return resolve(task), plan


@recorded
def finetune(
    task: CompressionTask,
    plan: CompressionPlan,
    train_split: DataLike | Tensor,
    recipe: Recipe = FINETUNING,
    *,
    recovery: RecoveryLike | None = None,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    progress: bool = True,
    on_epoch: Callable[[int], None] | None = None,
) -> nn.Module:
    """Return the network of a plan, trained further; in eval mode.

    Training uses all threads, whose number decides on rounding: the same call on another number of
    threads gives other weights, about as good.

    Where the recipe says so, it distils from the original network.  All weights are trained, those
    that are frozen in the original too: what they were fitted to is no longer there.

    Where the recipe shrinks, training begins with the original network, and the cut comes in
    between.

    Args:
        task: what was compressed.
        plan: how.
        train_split: training images, or other samples, as the splits of a task;
            ``training_images(task)`` are those of registered networks.  Images alone will do, a
            tensor (N, C, H, W), a data set of them or ``Split.unlabelled``, where the recipe goes
            by the original network's answers alone, ``distillation=1.0``.
        recipe: how to train, by the task's objective; that by default distils where it can be done,
            and does nothing else where there are no labels.
        recovery: of the weights to begin with, as in ``compress``.
            ``training_images(task)`` are those of registered networks.
        recipe: how to train, by the task's objective; that by default distils where it can be done.
        recovery: of the weights to begin with, as in ``compress``; recipes that shrink have none.
        checkpoint: file from which an interrupted run goes on; ``None`` keeps none.
        device: where to train, and where the network then is; "auto": a GPU if there is one.
        progress: whether there is a progress bar.
        on_epoch: told of the number of finished epochs.

    Raises:
        TypeError: an argument of a wrong type.
        PlanError: as ``compress``.
        ValueError: training images are among the reward or test images or do not fit the network,
            the checkpoint belongs to another run, or as ``train``.
    """
    task, plan = pair(task, plan)
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe must be an amc_gym.Recipe, not {described(recipe)}")
    if on_epoch is not None:
        function("on_epoch", on_epoch, "the number of finished epochs")
    if recovery is not None:
        recovery = chain(recovery)
    checkpoint = None if checkpoint is None else path_of("checkpoint", checkpoint)
    progress, where = truth("progress", progress), device_of(device)
    train_split = training_data_of("train_split", train_split, task.objective)
    task.check_fits("train_split", train_split, unlabelled=True)
    for name in ("reward", "test"):
        split = getattr(task, name)
        shared = len(train_split.image_hashes & split.image_hashes)
        if shared > SHARED_IMAGES * min(len(split), len(train_split)):
            raise ValueError(
                f"{shared} training images are {name} images, whose score would then mean "
                "nothing: leave them out"
            )
    classes = task.objective.classifies and samples(task.few) > 1
    if classes and not returns_logits_in_training(task.model, task.few, task.classes):
        raise ValueError(
            "the task's model does not return logits (N, classes) in training mode, so it cannot "
            "be fine-tuned here: return them in both modes, or train what amc_gym.compress makes"
        )
    if recipe.shrink and recovery is not None:
        raise ValueError(
            f"recovery={str(recovery)!r} makes up for a cut, and shrink={recipe.shrink} leaves "
            "nothing to make up for: leave out one of them"
        )
    frozen = [name for name, p in task.model.named_parameters() if not p.requires_grad]
    if frozen:
        logger.warning(
            "%d weights are frozen (requires_grad=False) in the original network, %r the first of "
            "them; fine-tuning trains them all the same",
            len(frozen),
            frozen[0],
        )
    if recipe == FINETUNING and not task.objective.loss.distils:
        recipe = replace(recipe, distillation=0.0)
    if recipe == FINETUNING and isinstance(train_split, Split) and not train_split.labelled:
        recipe = replace(recipe, distillation=1.0)
    network, cut = beginning(task, plan, recipe, recovery)
    return train(
        network.to(where),
        train_split,
        recipe,
        objective=task.objective,
        teacher=task.model,
        checkpoint=checkpoint,
        origin=hashlib.sha256(f"{recovery}{plan.to_json()}".encode()).hexdigest(),
        keep_zeros=not PRUNINGS[plan.options["granularity"]].runs_faster,
        cut=cut,
        progress=progress,
        on_epoch=on_epoch,
    )


def beginning(
    task: CompressionTask,
    plan: CompressionPlan,
    recipe: Recipe,
    recovery: RecoveryLike | None = None,
) -> tuple[nn.Module, Cut | None]:
    """Return the network that training begins with, and what is yet to be cut, if anything.

    Args:
        task: what was compressed.
        plan: how.
        recipe: of the training; where it shrinks, that begins with a copy of the original network.
        recovery: as in ``compress``, for recipes that do not shrink.

    Raises:
        PlanError: as ``compress``.
    """
    if not recipe.shrink:
        return compress(task, plan, recovery), None
    check_made_for(task, plan)
    cut = PRUNINGS[plan.options["granularity"]].cut(plan, engines.analysis(task))
    return copy.deepcopy(task.model), cut


@recorded
def export(
    network: nn.Module,
    task: CompressionTask,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    overwrite: bool = False,
) -> hand_over.Exported:
    """Write a compressed network, verified on reward images: see ``compression.handover.export``.

    Args:
        network: from ``compress`` or ``finetune``.
        task: what it was compressed from.
        path: the file, ending in ".safetensors", ".pt2" or ".onnx".
        format: "safetensors", "torch-export" or "onnx"; ``None``: as the suffix says.
        overwrite: whether existing files may be replaced.
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

    The original is built without its weights, from the name in the file's description.  One that
    names "package.module:function" is refused: whoever wrote it would have that code run.  Pass
    ``model`` or ``task`` for it.

    Args:
        path: the file; its description is beside it.
        model: the original network; needed for tasks made from objects.
        task: instead of it, your own word on what was compressed: "package.module:function", such
            a function, or a task.

    Raises:
        ExportError: a file is damaged, or describes another network.
        OSError: a file is missing.
        ValueError: the description names no registered network, and neither do you.
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
