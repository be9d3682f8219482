"""Teachers for fine-tuning other than the original network."""

from __future__ import annotations

import copy

import torch
from torch import nn

from amc_gym._utils.arguments import described
from amc_gym._utils.nests import called, device_of, leaves, shape_text
from amc_gym.tasks.task import CompressionTask
from amc_gym.zoo import bundled, datasets
from amc_gym.zoo.resolving import resolve


def bundled_teacher(task: CompressionTask, network: str) -> nn.Module:
    """Return a registered network with its bundled weights for a registered task's data set.

    Raises:
        ValueError: there are no such weights, or the task is one of your own.
    """
    dataset = dict(resolve(task).source).get("dataset")
    if dataset is None:
        raise ValueError(
            f"{network} has no bundled weights for a task of your own: call amc_gym.finetune with "
            "a network as its teacher"
        )
    return bundled.load(network, datasets.name_of(dataset))


def checked_teacher(task: CompressionTask, teacher: nn.Module) -> nn.Module:
    """Return a copy of a network, in eval mode, that can teach a task's network.

    Raises:
        TypeError: it is not a network.
        ValueError: its outputs have other shapes than those of the task's network.
    """
    if not isinstance(teacher, nn.Module):
        raise TypeError(f"teacher must be a torch.nn.Module, not {described(teacher)}")
    teacher = copy.deepcopy(teacher).eval().to(device_of(task.few))
    with torch.inference_mode():
        theirs, ours = called(teacher, task.few), called(task.model, task.few)
    if [each.shape for each in leaves(theirs)] != [each.shape for each in leaves(ours)]:
        raise ValueError(
            f"the teacher returns {shape_text(theirs)} where the task's network returns "
            f"{shape_text(ours)}: pass a network for the same classes"
        )
    return teacher
