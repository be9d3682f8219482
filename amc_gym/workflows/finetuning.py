"""Fine-tuning of a plan's network: cut first and recovered, or shrunk first and then cut."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from amc_gym._utils.arguments import described, function, truth
from amc_gym._utils.arguments import path as path_of
from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.machine import device_of
from amc_gym._utils.nests import samples
from amc_gym.compression.plan import CompressionPlan
from amc_gym.compression.pruning import PRUNINGS
from amc_gym.compression.pruning.cut import Cut
from amc_gym.compression.recovery import RecoveryLike, chain
from amc_gym.engine.cache import engines
from amc_gym.tasks.gathering import Data, DataLike, training_data_of
from amc_gym.tasks.heads import returns_logits_in_training
from amc_gym.tasks.split import Split
from amc_gym.tasks.task import SHARED_IMAGES, CompressionTask
from amc_gym.training.loop import train
from amc_gym.training.recipe import FINETUNING, Recipe
from amc_gym.workflows.compression import check_made_for, compress, pair
from amc_gym.zoo import datasets
from amc_gym.zoo.resolving import resolve

logger = logging.getLogger(__name__)


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
    _check_unseen(task, train_split)
    _check_trainable(task)
    if recipe.shrink and recovery is not None:
        raise ValueError(
            f"recovery={str(recovery)!r} makes up for a cut, and shrink={recipe.shrink} leaves "
            "nothing to make up for: leave out one of them"
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


def _check_unseen(task: CompressionTask, train_split: Data) -> None:
    """Refuse training images that judge.

    Raises:
        ValueError: some are among the reward or test images.
    """
    for name in ("reward", "test"):
        split = getattr(task, name)
        shared = len(train_split.image_hashes & split.image_hashes)
        if shared > SHARED_IMAGES * min(len(split), len(train_split)):
            raise ValueError(
                f"{shared} training images are {name} images, whose score would then mean "
                "nothing: leave them out"
            )


def _check_trainable(task: CompressionTask) -> None:
    """Refuse a network that cannot be trained as it is, and tell of frozen weights.

    Raises:
        ValueError: it returns something else than logits in training.
    """
    classes = task.objective.classifies and samples(task.few) > 1
    if classes and not returns_logits_in_training(task.model, task.few, task.classes):
        raise ValueError(
            "the task's model does not return logits (N, classes) in training mode, so it cannot "
            "be fine-tuned here: return them in both modes, or train what amc_gym.compress makes"
        )
    frozen = [name for name, p in task.model.named_parameters() if not p.requires_grad]
    if frozen:
        logger.warning(
            "%d weights are frozen (requires_grad=False) in the original network, %r the first of "
            "them; fine-tuning trains them all the same",
            len(frozen),
            frozen[0],
        )
