"""Tasks that the tests share."""

from __future__ import annotations

import pytest
import torch
from small import PlainStack, images, lively
from torch import nn

from amc_gym import CompressionTask
from amc_gym.tasks.task import resolve

# The tests run side by side; more threads than cores make small networks many times slower.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def plain_stack() -> nn.Module:
    torch.manual_seed(0)
    return lively(PlainStack())


@pytest.fixture(scope="session")
def plain_task(plain_stack: nn.Module) -> CompressionTask:
    return CompressionTask(plain_stack, images(400, 1), images(64, 2), images(64, 3))


@pytest.fixture(scope="session")
def digits_task() -> CompressionTask:
    return resolve("MobileNet")
