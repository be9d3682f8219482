"""Threads and recovery: the weights are the same for any number of threads."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import nn

import amc_gym
from amc_gym import CompressionPlan, CompressionTask
from amc_gym.engine.cache import engines
from amc_gym.envs.factory import make_env


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def plan(digits_task: CompressionTask) -> CompressionPlan:
    return amc_gym.search(digits_task, 1, progress=False)


def digest(network: nn.Module) -> str:
    content = hashlib.sha256()
    for tensor in network.state_dict().values():
        content.update(tensor.numpy().tobytes())
    return content.hexdigest()


@pytest.mark.parametrize("recovery", ["reconstruct+bn+finetune:5", "nonlinear+finetune:3"])
def test_weights_are_the_same_on_any_number_of_threads(
    recovery: str, digits_task: CompressionTask, plan: CompressionPlan
) -> None:
    found = set()
    for number in (1, 3):
        engines.clear()
        torch.set_num_threads(number)
        found.add(digest(amc_gym.compress(digits_task, plan, recovery)))
        assert torch.get_num_threads() == number
    assert len(found) == 1


def test_what_another_recovery_has_left_behind_changes_nothing(
    digits_task: CompressionTask, plan: CompressionPlan
) -> None:
    alone = digest(amc_gym.compress(digits_task, plan, "nonlinear+finetune:3"))
    engines.clear()
    torch.set_num_threads(2)
    amc_gym.compress(digits_task, plan, "nonlinear")
    assert digest(amc_gym.compress(digits_task, plan, "nonlinear+finetune:3")) == alone


def test_single_weights_too(digits_task: CompressionTask) -> None:
    env = make_env(digits_task, granularity="weight", recovery="none", preserve_ratio=0.4)
    plan = amc_gym.search(env, 1, progress=False)
    found = set()
    for number in (1, 2):
        torch.set_num_threads(number)
        found.add(digest(amc_gym.compress(digits_task, plan, "finetune:5")))
    assert len(found) == 1


COMPRESSES = """
import hashlib, sys
import torch
import amc_gym
from amc_gym import CompressionPlan
plan = CompressionPlan.load(sys.argv[1])
state = amc_gym.compress(amc_gym.task_of(plan), plan, "reconstruct+finetune:5").state_dict()
print(hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in state.values())).hexdigest())
print(torch.get_num_threads())
"""


@pytest.mark.thorough
def test_processes_with_other_numbers_of_threads_agree(
    digits_task: CompressionTask, plan: CompressionPlan, tmp_path
) -> None:
    path = plan.save(tmp_path / "plan.json")
    torch.set_num_threads(1)
    found = digest(amc_gym.compress(digits_task, plan, "reconstruct+finetune:5"))
    command = [sys.executable, "-W", "ignore", "-c", COMPRESSES, str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [found, "2"]


def test_the_search_judges_the_network_that_is_handed_over(digits_task: CompressionTask) -> None:
    torch.set_num_threads(2)
    env = make_env(digits_task, recovery="finetune:5")
    plan = amc_gym.search(env, 1, progress=False)
    torch.set_num_threads(1)
    network = amc_gym.compress(digits_task, plan)
    assert amc_gym.accuracy(network, digits_task.reward) == plan.measured.accuracy
