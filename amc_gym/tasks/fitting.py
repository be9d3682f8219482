"""Checks that an objective fits a task: loss and score are tried before any search.

Classification has its own checks, see ``admission.classes_of``.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from amc_gym._utils.grad_mode import recording
from amc_gym._utils.nests import Nest, leaves, mapped, placed, samples, shape_text
from amc_gym.compression.evaluation.scoring import finished
from amc_gym.tasks.admission import answer, refuse_chance
from amc_gym.tasks.data import Data
from amc_gym.tasks.objectives import Objective
from amc_gym.tasks.objectives.own import OwnScore

FEW = 2
"""Samples on which a loss is tried."""

AT_ONCE = 16
"""Batch size of the pass whose score is computed."""


def fitted(objective: Objective, model: nn.Module, data: Data) -> Objective:
    """Return the objective, settled on a network's outputs on some data.

    Args:
        objective: of the task.
        model: in eval mode; not changed.
        data: the reward split.

    Raises:
        ValueError: the network does not run on the data or gives random outputs, targets do not fit
            its outputs, the score is not in [0, 1], or the loss has no gradient.
    """
    device = next(model.parameters()).device
    inputs, targets = (
        placed(nest, device) for nest in (data.batch(slice(FEW)), data.targets_of(slice(FEW)))
    )
    outputs = answered(model, inputs)
    score = _tried(objective, outputs, targets, objective.score.settled)
    objective = replace(objective, score=score)
    parts: list[Any] = []
    for some, theirs in data.batches(AT_ONCE):
        with torch.inference_mode():
            found = answer(model, placed(some, device), f"on {samples(some)} samples")
            parts.append(_tried(objective, found, placed(theirs, device), score.accumulate))
    _finished(objective, parts, "the reward samples")
    if isinstance(score, OwnScore) and score.whole:
        for name, factor in (("all zero", 0.0), ("far off", -1e3)):
            wrong = mapped(lambda t, f=factor: t * f if t.is_floating_point() else t, outputs)
            _finished(objective, [score.accumulate(wrong, targets)], f"outputs that are {name}")
    _check_loss(objective, model, inputs, targets)
    return objective


def check_targets(objective: Objective, model: nn.Module, name: str, data: Data) -> None:
    """Refuse data whose targets do not fit the network's outputs, judged by the first few samples.

    Raises:
        ValueError: they do not fit; the message names the split.
    """
    device = next(model.parameters()).device
    inputs, targets = (
        placed(nest, device) for nest in (data.batch(slice(FEW)), data.targets_of(slice(FEW)))
    )
    with torch.inference_mode():
        outputs = answer(model, inputs, f"on {name} samples")
        _tried(objective, outputs, targets, objective.score.accumulate, name)


def answered(model: nn.Module, inputs: Nest) -> Any:
    """Return the outputs of a network, after asking twice and comparing.

    Raises:
        ValueError: it does not run, or its outputs are random, NaN or infinite.
    """
    what = f"on samples of shape {shape_text(inputs)}"
    outputs = answer(model, inputs, what)
    if not leaves(outputs):
        raise ValueError(
            "the model's outputs hold no tensor: return tensors in tuples, lists, dictionaries or "
            "dataclasses"
        )
    for output in leaves(outputs):
        if output.is_floating_point() and not bool(output.isfinite().all()):
            raise ValueError(
                "the model's outputs are NaN or infinite: its weights or the normalisation of the "
                "inputs differ from those of its training; load the right ones"
            )
    refuse_chance("model", answer(model, inputs, what), outputs)
    return outputs


def _tried(
    objective: Objective, outputs: Nest, targets: Nest, function: Any, name: str = "reward"
) -> Any:
    try:
        return function(outputs, targets)
    except Exception as error:  # a user's function may raise anything
        raise ValueError(
            f"the score {objective.name!r} fails on the {name} samples: {error} (outputs are "
            f"{shape_text(outputs)}, targets {shape_text(targets)})"
        ) from error


def _finished(objective: Objective, parts: list[Any], what: str) -> None:
    try:
        finished(objective.score, parts)
    except Exception as error:
        raise ValueError(f"the score {objective.name!r} of {what}: {error}") from error


def _check_loss(objective: Objective, model: nn.Module, inputs: Nest, targets: Nest) -> None:
    copied = copy.deepcopy(model)
    weights = [p.requires_grad_() for p in copied.parameters() if p.is_floating_point()]
    with recording(), objective.losing(copied):
        try:
            loss = objective.loss(objective.answers(copied, inputs, targets), targets)
        except Exception as error:
            raise ValueError(
                f"the loss fails on the reward samples: {error} (inputs are {shape_text(inputs)}, "
                f"targets {shape_text(targets)})"
            ) from error
        if not math.isfinite(float(loss.detach())):
            raise ValueError(
                f"the loss of the reward samples must be finite, not {float(loss.detach())}"
            )
        gradients: tuple[Any, ...] = ()
        if loss.requires_grad:
            gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    if not any(gradient is not None and bool(gradient.any()) for gradient in gradients):
        raise ValueError(
            "the loss has no gradient for any weight: compute it from the network's outputs by "
            "differentiable operations, without detach(), argmax or Python numbers"
        )
