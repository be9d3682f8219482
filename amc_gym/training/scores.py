"""Scores of networks on labelled samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from amc_gym._utils.arguments import described, whole
from amc_gym._utils.names import choose
from amc_gym._utils.nests import placed
from amc_gym.compression.evaluation.hits import METRICS
from amc_gym.compression.evaluation.scoring import scored
from amc_gym.tasks.admission import classes_of
from amc_gym.tasks.data import DataLike, data_of
from amc_gym.tasks.objectives import classification, objective_of

CLASSES = "classification"
"""The default objective."""


def score(
    network: nn.Module, split: DataLike, objective: Any = CLASSES, batch_size: int = 256
) -> float:
    """Return a network's score in [0, 1], in evaluation mode; its mode is restored afterwards.

    Args:
        network: suits the objective; a classifier maps images ``(N, C, H, W)`` to logits
            ``(N, classes)``.
        split: inputs and targets, in any form that a task's splits have.
        objective: as in a task.
        batch_size: samples at a time.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: an argument is unknown or out of range, the network does not classify the
            images (see ``classes_of``), or the score is not a number in [0, 1].
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"network must be a torch.nn.Module, not {described(network)}")
    objective = objective_of(objective)
    split = data_of("split", split, objective)
    batch_size = whole("batch_size", batch_size, at_least=1)
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        if objective.classifies:
            classes_of(network, placed(split.batch(slice(2)), device), "network")
        batches = (
            (placed(inputs, device), placed(targets, device))
            for inputs, targets in split.batches(batch_size)
        )
        return scored(network, batches, objective.score)
    finally:
        for module, training in modes:
            module.training = training


def accuracy(
    network: nn.Module, split: DataLike, metric: str = "top1", batch_size: int = 256
) -> float:
    """Return the accuracy of a classifier, in [0, 1].

    Args:
        network: maps images ``(N, C, H, W)`` to logits ``(N, classes)``.
        split: labelled images, in any form that a task's splits have.
        metric: "top1" or "top5".
        batch_size: images at a time.

    Raises:
        TypeError, ValueError: as ``score``.
    """
    top = METRICS[choose("metric", metric, METRICS)]
    return score(network, split, classification(top), batch_size)
