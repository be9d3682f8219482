"""Teachers other than the original network."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from small import PlainStack, images, lively, same
from torch import nn

import amc_gym
from amc_gym import CompressionPlan, CompressionTask
from amc_gym.training.recipe import Recipe
from amc_gym.workflows.teachers import bundled_teacher

RECIPE = Recipe(4, 32, 0.1, schedule="cosine", distillation=1.0)


class Wide(nn.Module):
    """A classifier of 3 x 8 x 8 images with one hidden layer and dropout."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.hidden, self.last = nn.Linear(192, 30), nn.Linear(30, classes)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.dropout(torch.relu(self.hidden(x.flatten(1)))))


@pytest.fixture(scope="module")
def plan(plain_task: CompressionTask) -> CompressionPlan:
    env = gym.make("AMC-v0", task=plain_task, preserve_ratio=0.5)
    env.reset(seed=0)
    done = False
    while not done:
        _, _, done, _, _ = env.step(np.array([0.5], dtype=np.float32))
    return env.unwrapped.plan


def tuned(task: CompressionTask, plan: CompressionPlan, **options: Any) -> nn.Module:
    options = {"recipe": RECIPE, "device": "cpu", "progress": False} | options
    return amc_gym.finetune(task, plan, images(160, 7), **options)


def distance(left: nn.Module, right: nn.Module) -> float:
    inputs = images(160, 7).images
    with torch.inference_mode():
        return float((left(inputs) - right(inputs)).square().mean())


def test_the_original_network_is_the_teacher_unless_another_is_given(
    plain_task: CompressionTask, plan: CompressionPlan
) -> None:
    usual = tuned(plain_task, plan)
    assert same(usual, tuned(plain_task, plan, teacher=copy.deepcopy(plain_task.model)))

    torch.manual_seed(1)
    teacher = Wide()
    nn.init.constant_(teacher.last.bias[:2], 3.0)  # unlike the original network
    before = copy.deepcopy(teacher)
    taught = tuned(plain_task, plan, teacher=teacher)
    assert distance(taught, teacher.eval()) < 0.7 * distance(usual, teacher)
    assert same(teacher, before)


def test_a_teacher_of_its_own_mode_teaches_in_eval_mode(
    plain_task: CompressionTask, plan: CompressionPlan
) -> None:
    torch.manual_seed(1)
    teacher = Wide().train()
    in_training = tuned(plain_task, plan, teacher=teacher)
    assert teacher.training
    assert same(in_training, tuned(plain_task, plan, teacher=teacher.eval()))


def test_a_checkpoint_belongs_to_its_teacher(
    plain_task: CompressionTask, plan: CompressionPlan, tmp_path: Path
) -> None:
    class StoppedError(Exception):
        pass

    def stop(epochs: int) -> None:
        raise StoppedError

    path, teachers = tmp_path / "run.pt", []
    for seed in range(2):
        torch.manual_seed(seed)
        teachers.append(Wide())
    with pytest.raises(StoppedError):
        tuned(plain_task, plan, teacher=teachers[0], checkpoint=path, on_epoch=stop)
    with pytest.raises(ValueError, match="another run"):
        tuned(plain_task, plan, teacher=teachers[1], checkpoint=path)
    continued = tuned(plain_task, plan, teacher=teachers[0], checkpoint=path)
    assert same(continued, tuned(plain_task, plan, teacher=teachers[0]))


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (
            {"teacher": "ResNet56"},
            TypeError,
            r"must be a torch.nn.Module, not the string 'ResNet56'",
        ),
        ({"teacher": Wide(classes=7)}, ValueError, r"returns \(\d+, 7\) where .* \(\d+, 5\)"),
        (
            {"teacher": Wide(), "recipe": Recipe(1, 32, 0.01)},
            ValueError,
            "leaves a teacher nothing to do",
        ),
    ],
)
def test_impossible_teachers_are_refused(
    plain_task: CompressionTask,
    plan: CompressionPlan,
    options: dict[str, Any],
    error: type[Exception],
    said: str,
) -> None:
    with pytest.raises(error, match=said):
        tuned(plain_task, plan, **options)


def test_bundled_networks_teach_networks_of_the_same_data_set(
    digits_task: CompressionTask,
) -> None:
    teacher = bundled_teacher(digits_task, "ResNet56")
    assert amc_gym.accuracy(teacher, digits_task.test) > 0.95
    with pytest.raises(ValueError, match="AlexNet"):
        bundled_teacher(digits_task, "AlexNet")


def test_a_task_of_your_own_has_no_bundled_teachers() -> None:
    task = CompressionTask(lively(PlainStack()), images(64, 1), images(64, 2), images(64, 3))
    with pytest.raises(ValueError, match="no bundled weights for a task of your own"):
        bundled_teacher(task, "ResNet56")
