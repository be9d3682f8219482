"""Parts of a training run made by its recipe: loss, optimizer, schedule, precision, average."""

from __future__ import annotations

import torch
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from amc_gym._utils.nests import Nest
from amc_gym.compression.evaluation.precision import has_bf16
from amc_gym.tasks.objectives import Loss
from amc_gym.tasks.objectives.classification import CrossEntropy
from amc_gym.training.recipe import Recipe

CLASSES = CrossEntropy()
"""The loss of classifiers."""


def training_loss(
    outputs: Nest, targets: Nest, teacher_outputs: Nest | None, recipe: Recipe, loss: Loss = CLASSES
) -> Tensor:
    """Return the weighted sum of the loss on the targets and the distance to a teacher's outputs.

    Args:
        outputs: of the network.
        targets: of the batch.
        teacher_outputs: the teacher's outputs, if there is one.
        recipe: weights of both, label smoothing and temperature.
        loss: of the objective.
    """
    if teacher_outputs is not None and recipe.distillation == 1:  # targets may be missing then
        return loss.distilled(outputs, teacher_outputs, recipe.temperature)
    hard = loss.smoothed(recipe.label_smoothing)(outputs, targets)
    if teacher_outputs is None:
        return hard
    soft = loss.distilled(outputs, teacher_outputs, recipe.temperature)
    return torch.lerp(hard, soft, recipe.distillation)


def uses_bf16(recipe: Recipe, model: nn.Module) -> bool:
    """Return whether a model's forward passes run under bf16 autocast on its device.

    On CPUs "auto" keeps networks with depthwise convolutions in float32: their gradients are so
    slow in bf16 that a step of MobileNet takes 1.5 times as long, whereas a step of ResNet-56
    takes 0.6 times as long (one core of an Intel Xeon with AMX).
    """
    if recipe.precision != "auto":
        return recipe.precision == "bf16"
    device = next(model.parameters()).device
    if device.type == "cpu" and any(
        isinstance(module, nn.Conv2d) and module.groups > 1 for module in model.modules()
    ):
        return False
    return has_bf16(device)


def make_scheduler(
    optimizer: optim.Optimizer, recipe: Recipe, total_steps: int
) -> optim.lr_scheduler.LRScheduler:
    """Return the recipe's schedule over ``total_steps`` steps.

    Raises:
        ValueError: the run is too short for the warm-up.
    """
    if recipe.schedule == "cosine":
        return optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total_steps)
    if total_steps * recipe.warmup <= 1:  # OneCycleLR would divide by zero
        raise ValueError(
            f"warm-up must last more than one step, not {total_steps} x {recipe.warmup}: raise "
            "epochs or warmup, lower batch_size, or use the cosine schedule"
        )
    return optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=recipe.learning_rate,
        total_steps=total_steps,
        pct_start=recipe.warmup,
        cycle_momentum=False,
    )


def make_optimizer(model: nn.Module, recipe: Recipe) -> optim.Optimizer:
    """Return the recipe's optimizer for the parameters of ``model``."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return optim.AdamW(groups, lr=recipe.learning_rate)
    return optim.SGD(
        groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0
    )


def make_average(model: nn.Module, recipe: Recipe, total_steps: int) -> AveragedModel | None:
    """Return the average of the model's weights and statistics, if the recipe averages."""
    if not recipe.averaging:
        return None
    window = max(1.0, recipe.averaging * total_steps)
    decay = get_ema_multi_avg_fn(1 - 1 / window)
    return AveragedModel(model, multi_avg_fn=decay, use_buffers=True)
