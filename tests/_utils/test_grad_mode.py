"""Independence of the caller's grad mode: training works, and networks can be trained on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from small import PlainStack, images, lively, play
from torch import Tensor, nn

import amc_gym
from amc_gym import CompressionPlan, CompressionTask, Recipe, Split
from amc_gym.envs.factory import make_env
from amc_gym.workflows.weight_stages import prune_in_stages

Mode = Callable[[], AbstractContextManager[object]]

MODES: dict[str, Mode] = {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}
RECOVERIES = ("none", "sequential", "reconstruct+nonlinear+bn+finetune:2", "finetune:2")
RECIPE = Recipe(2, 16, 0.01, schedule="cosine", distillation=0.5)


@pytest.fixture(params=MODES.values(), ids=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    return request.param


def task() -> CompressionTask:
    """Make a new task, about which nothing is cached."""
    torch.manual_seed(0)
    return CompressionTask(lively(PlainStack()), images(200, 1), images(64, 2), images(64, 3))


def played(env: gym.Env) -> CompressionPlan:
    play(env, [0.4] * env.unwrapped.steps_per_episode)  # type: ignore[attr-defined]
    return env.unwrapped.plan  # type: ignore[attr-defined]


def assert_trainable(network: nn.Module) -> None:
    tensors = [*network.parameters(), *network.buffers()]
    assert not any(tensor.is_inference() for tensor in tensors)
    network.train()
    network(images(8, 5).images).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def weights(network: nn.Module) -> list[Tensor]:
    return [tensor.clone() for tensor in network.state_dict().values()]


@pytest.mark.parametrize("recovery", RECOVERIES)
def test_compressed_networks_are_the_same_and_train(recovery: str, mode: Mode) -> None:
    usual = task()
    plan = played(make_env(usual, recovery=recovery))
    expected = weights(amc_gym.compress(usual, plan))
    with mode():
        network = amc_gym.compress(task(), plan)
    for one, other in zip(weights(network), expected, strict=True):
        torch.testing.assert_close(one, other)
    assert_trainable(network)


@pytest.mark.parametrize(
    "options",
    [{"recovery": recovery} for recovery in RECOVERIES]
    + [{"importance": "taylor"}, {"granularity": "weight", "recovery": "bn+finetune:1"}],
    ids=str,
)
def test_environments_work_in_every_mode(options: dict[str, str], mode: Mode) -> None:
    expected = played(make_env(task(), **options))
    with mode():
        made = task()
        env = make_env(made, **options)
        plan = played(env)
    assert plan.measured == expected.measured
    assert plan.counts == expected.counts
    assert played(env) == plan  # outside of the mode, too
    assert_trainable(amc_gym.compress(made, plan))


def test_statistics_taken_in_a_mode_serve_outside_of_it(mode: Mode) -> None:
    made = task()
    with mode():
        env = make_env(made, importance="taylor")
        errors = env.engine.errors(0.0, 1.0)
    expected = make_env(task(), importance="taylor").engine.errors(0.0, 1.0)
    for one, other in zip(errors, expected, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_allclose(mine, theirs)


def test_networks_and_images_that_were_made_in_inference_mode() -> None:
    with torch.inference_mode():
        torch.manual_seed(0)
        model = lively(PlainStack())
        splits = [images(n, seed) for n, seed in ((200, 1), (64, 2), (64, 3))]
        split = Split(splits[0].images.clone(), splits[0].labels.clone())
    assert not split.images.is_inference()
    made = CompressionTask(model, *splits)
    assert made.fingerprint == task().fingerprint
    assert_trainable(copy.deepcopy(made.model))
    plan = played(make_env(made, importance="taylor", recovery="bn+finetune:2"))
    assert_trainable(amc_gym.compress(made, plan))


def test_fine_tuning_and_files(mode: Mode, tmp_path: Path) -> None:
    made = task()
    plan = played(make_env(made))
    with mode():
        network = amc_gym.finetune(made, plan, images(64, 9), RECIPE, progress=False, device="cpu")
        amc_gym.export(network, made, tmp_path / "small.safetensors")
        amc_gym.export(amc_gym.compress(made, plan), made, tmp_path / "small.pt2")
        loaded = amc_gym.load(tmp_path / "small.safetensors", task=made)
    assert_trainable(network)
    assert_trainable(loaded)


def test_weights_in_stages(mode: Mode) -> None:
    with mode():
        (stage,) = prune_in_stages(
            task(), images(64, 9), [0.5], evaluations=1, recipe=RECIPE, device="cpu", progress=False
        )
    assert_trainable(stage.network)


def test_vector_environments(mode: Mode) -> None:
    with mode():
        envs = gym.make_vec("AMC-v0", 2, task=task(), recovery="finetune:2")
        envs.reset()
        infos = {}
        for _ in range(envs.unwrapped.steps_per_episode):  # type: ignore[attr-defined]
            *_, infos = envs.step(np.full((2, 1), 0.4))
    assert 0 <= infos["final_info"]["accuracy"][0] <= 1
