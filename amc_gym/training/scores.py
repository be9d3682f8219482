"""Scores of networks, trained or not, on samples that judge."""

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
from amc_gym.tasks.gathering import DataLike, data_of
from amc_gym.tasks.objectives import classification, objective_of

CLASSES = "classification"
"""The objective where none is named."""


def score(
    network: nn.Module, split: DataLike, objective: Any = CLASSES, batch_size: int = 256
) -> float:
    """Score in [0, 1], in evaluation mode; the network's mode is put back afterwards.

    Args:
        network: what the objective is about; one that classifies maps images ``(N, C, H, W)`` to
            logits ``(N, classes)``.
        split: inputs and targets, as the splits of a task.
        objective: as of a task.
        batch_size: samples at a time.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: an argument is unknown or out of range, the network does not classify the
            images, as ``classes_of`` says, or the score is none.
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
    """Accuracy in [0, 1] of a network that classifies: ``score`` by a metric.

    Args:
        network: maps images ``(N, C, H, W)`` to logits ``(N, classes)``.
        split: labelled images, as the splits of a task.
        metric: "top1" or "top5".
        batch_size: images at a time.

    Raises:
        TypeError, ValueError: as ``score``.
    """
    top = METRICS[choose("metric", metric, METRICS)]
    return score(network, split, classification(top), batch_size)
