"""``reset(options={"preserve_ratio": ...})``: the budget of one episode."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from amc_gym import CompressionPlan, CompressionTask, validate
from amc_gym.envs.amc import AMCEnv
from amc_gym.envs.factory import make_env

OWN = 0.6
MODES = {"clamp": {"action_mode": "clamp"}, "feasible": {"action_mode": "feasible"}}


def episode(env: gym.Env[Any, Any], **options: Any) -> list[Any]:
    """Play an episode of fixed random actions; return what reset and each step return."""
    returned: list[Any] = [env.reset(options=options or None)]
    rng = np.random.default_rng(0)
    while len(returned) == 1 or not returned[-1][2]:
        returned.append(env.step(rng.random(1)))
    return returned


def without_budget(info: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in info.items() if key != "preserve_ratio"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ratio", [0.35, 0.9, None])
def test_an_episode_equals_that_of_an_environment_made_with_the_budget(
    plain_task: CompressionTask, mode: str, ratio: float | None
) -> None:
    env = make_env(plain_task, preserve_ratio=OWN, **MODES[mode])
    other = make_env(plain_task, preserve_ratio=ratio, **MODES[mode])
    before, asked, after = episode(env), episode(env, preserve_ratio=ratio), episode(env)
    expected = episode(other)
    for one, two in zip(asked[1:], expected[1:], strict=True):
        assert np.array_equal(one[0], two[0])
        assert one[1:4] == two[1:4]
        assert without_budget(one[4]) == two[4]
    for one, two in zip(before[1:], after[1:], strict=True):
        assert np.array_equal(one[0], two[0])
        assert one[1:] == two[1:]
    assert "preserve_ratio" not in before[0][1] | before[-1][4] | after[0][1] | after[-1][4]
    assert asked[0][1] == {"preserve_ratio": ratio}
    assert asked[-1][4]["preserve_ratio"] == ratio
    plan = CompressionPlan.from_json(asked[-1][4]["plan"])
    assert plan.options["preserve_ratio"] == ratio
    assert validate(plain_task, plan).ok


def test_vector_environments_take_a_budget_for_each_episode(plain_task: CompressionTask) -> None:
    kwargs = {"task": plain_task, "preserve_ratio": OWN}
    envs = gym.make_vec("AMC-v0", 3, **kwargs)
    _, infos = envs.reset(seed=0, options={"preserve_ratio": 0.35})
    assert infos["preserve_ratio"].tolist() == [0.35] * 3
    single = make_env(**kwargs)
    mixed = np.array([False, True, False])
    envs.reset(options={"reset_mask": mixed, "preserve_ratio": 0.8})
    assert [env.options["preserve_ratio"] for env in envs.unwrapped.envs] == [0.35, 0.8, 0.35]
    rng = np.random.default_rng(0)
    actions = rng.random((single.steps_per_episode, 3, 1))
    for row in actions:
        *_, ended, _, infos = envs.step(row)
    assert ended.all()
    assert infos["final_info"]["preserve_ratio"].tolist() == [0.35, 0.8, 0.35]
    for i, ratio in enumerate((0.35, 0.8, 0.35)):
        single.reset(options={"preserve_ratio": ratio})
        for row in actions:
            *_, info = single.step(row[i])
        assert infos["final_info"]["plan"][i] == info["plan"]
    # Episodes that begin by autoreset have the environment's own budget.
    assert {env.options["preserve_ratio"] for env in envs.unwrapped.envs} == {OWN}


def test_a_plan_is_executed_within_the_budget_of_the_episode(plain_task: CompressionTask) -> None:
    env = make_env(plain_task, preserve_ratio=OWN)
    env.reset(options={"preserve_ratio": 0.9})
    counts = env.budget.scaled(np.ones(env.steps_per_episode))
    _, info = env.execute(counts)
    assert OWN < info["macs_ratio"] <= 0.9
    env.reset()
    with pytest.raises(ValueError, match="exceeds the budget"):
        env.execute(counts)


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "infeasible": (0.001, ValueError, "infeasible: .* smallest feasible ratio is 0"),
    "out of range": (1.5, ValueError, r"preserve_ratio must be in \(0, 1\]"),
    "no number": ("half", ValueError, "unknown preserve_ratio 'half'"),
    "truth": (True, TypeError, "preserve_ratio must be"),
}


@pytest.mark.parametrize(("ratio", "error", "said"), REFUSED.values(), ids=REFUSED)
def test_an_impossible_budget_is_refused_and_changes_nothing(
    plain_task: CompressionTask, ratio: Any, error: type[Exception], said: str
) -> None:
    env, envs = AMCEnv(make_env(plain_task).engine), gym.make_vec("AMC-v0", 2, task=plain_task)
    for each, shape in ((env, (1,)), (envs, (2, 1))):
        each.reset()
        each.step(np.full(shape, 0.5))
        with pytest.raises(error, match=said):
            each.reset(options={"preserve_ratio": ratio})
    for one in (env, *envs.unwrapped.envs):
        assert len(one.counts) == 1
        assert one.options["preserve_ratio"] == 0.5


def test_the_tasks_own_budget_has_a_name(plain_task: CompressionTask) -> None:
    env = make_env(plain_task, preserve_ratio=0.9)
    assert env.reset(options={"preserve_ratio": "default"})[1] == {"preserve_ratio": 0.5}
