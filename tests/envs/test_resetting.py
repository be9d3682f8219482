"""Options of ``reset``: those without a meaning are refused by name."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics, RescaleAction

import amc_gym  # noqa: F401  # registers the ids


@pytest.fixture(scope="module")
def env(plain_task) -> gym.Env:
    return gym.make("AMC-v0", task=plain_task)


@pytest.fixture(scope="module")
def envs(plain_task) -> gym.vector.VectorEnv:
    return gym.make_vec("AMC-v0", 2, task=plain_task)


REFUSED: dict[str, tuple[dict[Any, Any], str]] = {
    "an argument": ({"reward": "error"}, "belongs in gym.make"),
    "nearly one": ({"rewrad": 0.3}, r"gym\.make\(\.\.\., reward=\.\.\.\)"),
    "nearly the budget": ({"preserv_ratio": 0.3}, "did you mean 'preserve_ratio'"),
    "nothing near": ({"zzz": 1}, "unknown reset option 'zzz'"),
    "no name": ({1: 2}, "unknown reset option 1"),
}


@pytest.mark.parametrize(("options", "said"), REFUSED.values(), ids=REFUSED)
def test_unknown_options_are_refused(env, envs, options: dict[Any, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        env.reset(options=options)
    with pytest.raises(ValueError, match=said):
        envs.reset(options=options)


def test_a_mask_is_an_option_of_several_episodes_only(env, envs) -> None:
    mask = np.array([True, False])
    envs.reset()
    envs.reset(options={"reset_mask": mask})
    with pytest.raises(ValueError, match="did you mean 'reset_mask'"):
        envs.reset(options={"resetmask": mask})
    with pytest.raises(
        ValueError, match="reset takes 'preserve_ratio' and 'reset_mask'; leave it out"
    ):
        envs.reset(options={"reset_mask": mask, "zzz": 1})
    with pytest.raises(ValueError, match="reset takes 'preserve_ratio'; did you mean"):
        env.reset(options={"reset_mask": mask})


@pytest.mark.parametrize("options", [None, {}])
def test_what_wrappers_pass_on_is_taken(env, envs, options: dict[str, Any] | None) -> None:
    wrapped = RecordEpisodeStatistics(RescaleAction(env, np.float32(-1), np.float32(1)))
    assert wrapped.reset(seed=1, options=options)[0].shape == (11,)
    assert envs.reset(seed=1, options=options)[0].shape == (2, 11)


@pytest.mark.parametrize("options", [[], "x", 3, [("a", 1)]])
def test_options_are_a_mapping(env, envs, options: Any) -> None:
    for each in (env.unwrapped, envs):
        with pytest.raises(TypeError, match="options must be a mapping or None"):
            each.reset(options=options)


def test_the_best_five_of_five_classes_are_refused(plain_task) -> None:
    assert plain_task.classes == 5
    with pytest.raises(ValueError, match="with only 5 classes: choose metric='top1'"):
        gym.make("AMC-v0", task=plain_task, metric="top5")
    with pytest.raises(ValueError, match="metric='top5'"):
        gym.make_vec("AMC-v0", 2, task=plain_task, metric="top5")
    gym.make("AMC-MobileNet-v0", metric="top5", reward_images=5).close()  # it has ten classes
