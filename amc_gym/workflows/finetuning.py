"""Fine-tuning of a plan's network: pruned and then trained, or shrunk and then pruned."""

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
from amc_gym.tasks.data import Data, DataLike, training_data_of
from amc_gym.tasks.fingerprints import of_weights
from amc_gym.tasks.heads import returns_logits_in_training
from amc_gym.tasks.split import Split
from amc_gym.tasks.task import SHARED_IMAGES, CompressionTask
from amc_gym.training.loop import train
from amc_gym.training.recipe import FINETUNING, Recipe
from amc_gym.workflows.compression import check_made_for, compress, pair
from amc_gym.workflows.teachers import checked_teacher
from amc_gym.zoo import datasets
from amc_gym.zoo.resolving import resolve

logger = logging.getLogger(__name__)


def training_images(task: CompressionTask, data_root: str | Path | None = None) -> Split:
    """Return the training images of a registered network's data set.

    Raises:
        ValueError: the task is one of your own, which has none.
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
    teacher: nn.Module | None = None,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    progress: bool = True,
    on_epoch: Callable[[int], None] | None = None,
) -> nn.Module:
    """Return the network of a plan after further training, in eval mode.

    Training uses all threads, and their number affects rounding: the same call with another number
    of threads gives other weights of about the same quality.

    If the recipe distils, the original network is the teacher, or a better one of your own.  All
    weights are trained, including those that are frozen in the original, because the channels they
    were fitted to are gone.

    If the recipe shrinks, training begins with the original network, which is pruned on the way.

    Args:
        task: what was compressed.
        plan: the channels or weights to keep.
        train_split: training images or other samples, in any form that a task's splits have;
            ``training_images(task)`` returns those of a registered network.  Images without labels
            will do, a tensor (N, C, H, W), a data set of them or ``Split.unlabelled``, if the
            recipe learns from the original network's outputs alone, ``distillation=1.0``.
        recipe: how to train.  The default distils where the objective allows it, and learns from
            the teacher alone where there are no labels.
        recovery: of the initial weights, as in ``compress``; not used by recipes that shrink.
        teacher: network to learn from instead of the original one, such as a larger one of the
            same task.
        checkpoint: file from which an interrupted run continues; ``None`` keeps none.
        device: where to train and where the returned network is; "auto": a GPU if there is one.
        progress: whether to show a progress bar.
        on_epoch: called with the number of finished epochs.

    Raises:
        TypeError: an argument has a wrong type.
        PlanError: as ``compress``.
        ValueError: training images are among the reward or test images, or do not fit the network,
            the teacher does not fit it or has nothing to do, the checkpoint belongs to another run,
            or as ``train``.
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
            f"recovery={str(recovery)!r} repairs a pruned network, and with shrink={recipe.shrink} "
            "pruning changes nothing that needs repair: leave out one of them"
        )
    if recipe == FINETUNING and not task.objective.loss.distils:
        recipe = replace(recipe, distillation=0.0)
    if recipe == FINETUNING and isinstance(train_split, Split) and not train_split.labelled:
        recipe = replace(recipe, distillation=1.0)
    origin = f"{recovery}{plan.to_json()}"
    if teacher is not None:
        if not recipe.distillation:
            raise ValueError("distillation=0 leaves a teacher nothing to do: raise it, up to 1")
        teacher = checked_teacher(task, teacher)
        origin += of_weights(teacher)
    network, cut = beginning(task, plan, recipe, recovery)
    return train(
        network.to(where),
        train_split,
        recipe,
        objective=task.objective,
        teacher=task.model if teacher is None else teacher,
        checkpoint=checkpoint,
        origin=hashlib.sha256(origin.encode()).hexdigest(),
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
    """Return the network that training begins with, and what is pruned later, if anything.

    Args:
        task: what was compressed.
        plan: the channels or weights to keep.
        recipe: of the training; one that shrinks begins with a copy of the original network.
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
    """Refuse training images that are also reward or test images.

    Raises:
        ValueError: some are among the reward or test images.
    """
    for name in ("reward", "test"):
        split = getattr(task, name)
        shared = len(train_split.image_hashes & split.image_hashes)
        if shared > SHARED_IMAGES * min(len(split), len(train_split)):
            raise ValueError(
                f"{shared} training images are also {name} images, which would make that score "
                "meaningless: leave them out"
            )


def _check_trainable(task: CompressionTask) -> None:
    """Refuse a network that cannot be trained as it is, and warn about frozen weights.

    Raises:
        ValueError: it does not return logits in training mode.
    """
    classes = task.objective.classifies and samples(task.few) > 1
    if classes and not returns_logits_in_training(task.model, task.few, task.classes):
        raise ValueError(
            "the task's model does not return logits (N, classes) in training mode, so it cannot "
            "be fine-tuned here: return them in both modes, or train the result of amc_gym.compress"
        )
    frozen = [name for name, p in task.model.named_parameters() if not p.requires_grad]
    if frozen:
        logger.warning(
            "%d weights are frozen (requires_grad=False) in the original network, the first of "
            "them %r; fine-tuning trains them nevertheless",
            len(frozen),
            frozen[0],
        )
