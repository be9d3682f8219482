"""AMCVectorEnv: it equals SyncVectorEnv over copies of AMCEnv, bit for bit."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import DictInfoToList, NormalizeReward, RecordEpisodeStatistics
from packaging.version import Version
from small import assert_same

from amc_gym import CompressionPlan
from amc_gym.compression.evaluation.evaluator import Evaluator
from amc_gym.envs.factory import make_env
from amc_gym.envs.vector import AMCVectorEnv
from amc_gym.registration import IDS as SINGLE

RANDOM = {"weights": "random", "reward_images": 20}
CHEAP = RANDOM | {"recovery": "none"}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bundled": ("AMC-MobileNet-v0", {"reward_images": 100}),
    "feasible": ("AMC-MobileNet-v0", CHEAP | {"action_mode": "feasible", "preserve_ratio": 0.3}),
    "feasible-unconstrained": (
        "AMC-MobileNet-v0",
        CHEAP | {"action_mode": "feasible", "preserve_ratio": None, "reward": "error-log-macs"},
    ),
    "error-log": (
        "AMC-MobileNetV2-v0",
        CHEAP | {"preserve_ratio": None, "reward": "error-log-params"},
    ),
    "residual": ("AMC-ResNet56-v0", RANDOM | {"resource": "params", "channel_multiple": 4}),
    "residual actions": (
        "AMC-MobileNet-v0",
        {"reward_images": 50, "action_mode": "residual", "reward": "relative"},
    ),
    "comparable": ("AMC-MobileNet-v0", RANDOM | {"observation": "comparable"}),
    "graph": ("AMC-MobileNet-v0", RANDOM | {"observation": "graph", "preserve_ratio": None}),
    "weights": ("AMC-Plain20-v0", CHEAP | {"granularity": "weight", "preserve_ratio": 0.3}),
    "weights-feasible": (
        "AMC-Plain20-v0",
        CHEAP | {"granularity": "weight", "action_mode": "feasible", "preserve_ratio": 0.5},
    ),
}


def both(id_: str, n: int, **options: Any) -> tuple[gym.vector.VectorEnv, gym.vector.VectorEnv]:
    """Make an AMCVectorEnv, and Gymnasium's vector environment that it has to equal."""
    same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
    ours = gym.make_vec(id_, num_envs=n, **options)
    theirs = gym.make_vec(
        id_, num_envs=n, vectorization_mode="sync", vector_kwargs=same_step, **options
    )
    assert type(ours) is AMCVectorEnv
    assert type(theirs) is SyncVectorEnv
    return ours, theirs


def steps(envs: Any) -> int:
    return len(envs.unwrapped.envs[0].unwrapped.budget.channels)


def actions_of(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw actions: mostly ratios, some out of range and some at its ends."""
    drawn = rng.uniform(-0.2, 1.2, size=(n, 1))
    return np.where(rng.random((n, 1)) < 0.1, np.round(drawn), drawn).astype(np.float32)


@pytest.mark.parametrize("case", CASES)
def test_it_equals_gymnasiums_sync_vector_environment(case: str) -> None:
    id_, options = CASES[case]
    ours, theirs = both(id_, 3, **options)
    rng = np.random.default_rng(0)
    assert_same(ours.reset(seed=1), theirs.reset(seed=1))
    for _ in range(2 * steps(ours) + 3):
        actions = actions_of(rng, 3)
        assert_same(ours.step(actions), theirs.step(actions))
    assert_same(ours.reset(), theirs.reset())


def test_episodes_out_of_step_equal_gymnasiums_too() -> None:
    ours, theirs = both("AMC-MobileNet-v0", 4, **CHEAP)
    rng = np.random.default_rng(1)
    masks = {3: [1, 0, 0, 1], 9: [0, 1, 0, 0], 14: [1, 1, 0, 0], 31: [0, 0, 1, 1]}
    ended = set()
    assert_same(ours.reset(seed=5), theirs.reset(seed=5))
    for t in range(60):
        if t in masks:
            mask = np.array(masks[t], dtype=bool)
            once, again = ({"reset_mask": mask.copy()} for _ in range(2))
            assert_same(ours.reset(options=once), theirs.reset(options=again))
        actions = actions_of(rng, 4)
        one, other = ours.step(actions), theirs.step(actions)
        assert_same(one, other)
        ended.add(int(one[2].sum()))
    assert ended >= {1, 2}  # one alone, and two together


def test_returned_arrays_are_not_written_again() -> None:
    envs = gym.make_vec("AMC-MobileNet-v0", num_envs=2, **CHEAP)
    returned = [envs.reset()]
    copies = [json.dumps(returned[-1][0].tolist())]
    for _ in range(2 * steps(envs)):
        returned.append(envs.step(np.full((2, 1), 0.5, dtype=np.float32)))
        copies.append(json.dumps(returned[-1][0].tolist()))
    assert [json.dumps(step[0].tolist()) for step in returned] == copies
    returned[-1][0][:] = -1  # nor read: a masked reset returns the other's old observation
    kept, _ = envs.reset(options={"reset_mask": np.array([True, False])})
    assert envs.observation_space.contains(kept)


def test_the_plans_of_a_step_are_evaluated_in_one_call(monkeypatch: Any) -> None:
    envs = gym.make_vec("AMC-MobileNet-v0", num_envs=5, **CHEAP)
    many, calls = Evaluator.many, []

    def spy(self: Evaluator, plans: Any) -> Any:
        calls.append(len(plans))
        return many(self, plans)

    monkeypatch.setattr(Evaluator, "many", spy)
    rng = np.random.default_rng(0)
    envs.reset()
    for _ in range(2 * steps(envs)):
        envs.step(actions_of(rng, 5))
    assert calls == [5, 5]


def test_plans_are_those_of_the_last_infos() -> None:
    envs = gym.make_vec("AMC-MobileNet-v0", num_envs=2, **CHEAP)
    amc = envs.unwrapped
    assert amc.plans == [None, None]
    infos: dict[str, Any] = {}
    envs.reset()
    for _ in range(steps(envs)):
        *_, infos = envs.step(np.array([[0.2], [0.7]], dtype=np.float32))
    found = [CompressionPlan.from_json(text) for text in infos["final_info"]["plan"]]
    assert amc.plans == found
    assert found[0] != found[1]


def test_everything_heavy_is_shared() -> None:
    one = gym.make_vec("AMC-MobileNet-v0", num_envs=3, **CHEAP).unwrapped
    other = gym.make("AMC-MobileNet-v0", **CHEAP).unwrapped
    assert {id(env.engine) for env in one.envs} == {id(other.engine)}
    assert one.task is other.task
    assert one.engine is other.engine


def test_spaces_and_metadata() -> None:
    envs = gym.make_vec("AMC-MobileNet-v0", num_envs=6, **CHEAP)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.num_envs == 6
    assert envs.observation_space == gym.spaces.Box(0, 1, (6, 11), np.float32)
    assert envs.action_space == gym.spaces.Box(0, 1, (6, 1), np.float32)
    assert envs.single_observation_space == gym.spaces.Box(0, 1, (11,), np.float32)
    assert envs.single_action_space == gym.spaces.Box(0, 1, (1,), np.float32)
    assert str(envs) == "AMCVectorEnv(AMC-MobileNet-v0, num_envs=6)"
    observations, infos = envs.reset(seed=0)
    assert envs.observation_space.contains(observations)
    assert infos == {}


IDS = sorted({"AMC-v0", *SINGLE})


@pytest.mark.parametrize("id_", IDS)
def test_every_id_has_a_vector_environment(id_: str) -> None:
    options = RANDOM | ({"task": "MobileNet"} if id_ == "AMC-v0" else {})
    with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'"):
        gym.make_vec(id_, num_envs=2, frameskip=1, **options)
    envs = gym.make_vec(id_, num_envs=2, **options)
    envs.reset(seed=0)
    for _ in range(steps(envs)):
        observations, rewards, terminations, truncations, infos = envs.step(
            envs.action_space.sample()
        )
    assert envs.observation_space.contains(observations)
    assert terminations.all()
    assert not truncations.any()
    assert (rewards == infos["final_info"]["accuracy"]).all()


def test_a_task_of_ones_own(plain_task: Any) -> None:
    envs = gym.make_vec("AMC-v0", num_envs=2, task=plain_task, preserve_ratio=0.6)
    assert envs.unwrapped.task is plain_task
    assert envs.spec is not None
    assert envs.spec.kwargs["task"] is plain_task  # not deep-copied
    with pytest.raises(TypeError, match="task"):
        gym.make_vec("AMC-v0", num_envs=2)


def test_the_spec_makes_the_same_again() -> None:
    envs = gym.make_vec("AMC-MobileNet-v0", num_envs=3, **CHEAP)
    assert envs.spec is not None
    spec = gym.envs.registration.EnvSpec.from_json(envs.spec.to_json())
    again = gym.make_vec(spec)
    assert type(again) is AMCVectorEnv
    assert again.num_envs == 3
    assert again.unwrapped.envs[0].options == envs.unwrapped.envs[0].options


def test_bad_options_are_refused() -> None:
    with pytest.raises(ValueError, match="num_envs must be at least 1, not 0"):
        gym.make_vec("AMC-MobileNet-v0", num_envs=0, **CHEAP)
    with pytest.raises(ValueError, match="unknown reward 'acuracy'; did you mean 'accuracy'"):
        gym.make_vec("AMC-MobileNet-v0", num_envs=2, reward="acuracy")


NAN = float("nan")


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.array([[0.5], [NAN], [0.5]]), "sub-environment 1: the action is NaN"),
        ([[0.5], [0.5], [0.5, 0.5]], r"sub-environment 2: the action must have shape \(1,\)"),
        (np.array([0.5, 0.5, 0.5]), r"sub-environment 0: the action must have shape \(1,\)"),
        (np.zeros((2, 1)), r"the actions must have shape \(3, 1\)"),
        (np.zeros((3, 2)), r"sub-environment 0: the action must have shape \(1,\), not \(2,\)"),
        (0.5, r"the actions must have shape \(3, 1\)"),
    ],
)
def test_bad_actions_name_the_sub_environment_and_change_nothing(
    actions: Any, message: str
) -> None:
    envs = gym.make_vec("AMC-MobileNet-v0", num_envs=3, **CHEAP)
    envs.reset()
    envs.step(np.full((3, 1), 0.5))
    with pytest.raises(ValueError, match=message):
        envs.step(actions)
    assert {len(env.running()) for env in envs.unwrapped.envs} == {1}
    observations, *_ = envs.step([[0.5], [0.5], [0.5]])  # rows do not have to be an array
    assert observations[:, 0] == pytest.approx(2 / 14)


def test_steps_before_the_first_reset_are_refused() -> None:
    envs = gym.make_vec("AMC-MobileNet-v0", num_envs=2, **CHEAP)
    with pytest.raises(gym.error.ResetNeeded):
        envs.step(np.zeros((2, 1)))


def test_sub_environments_can_be_asked_and_rendered() -> None:
    envs = gym.make_vec("AMC-MobileNet-v0", num_envs=2, render_mode="ansi", **CHEAP)
    envs.reset(seed=3)
    envs.step(np.array([[0.1], [0.9]], dtype=np.float32))
    assert envs.np_random_seed == (3, 4)
    assert envs.get_attr("action_mode") == ("clamp", "clamp")
    kept = [counts[0] for counts in envs.call("running")]
    assert kept[0] > kept[1]
    frames = envs.render()
    assert isinstance(frames, tuple)
    assert all("1/14 units decided" in frame for frame in frames)
    assert frames[0] != frames[1]
    envs.close()
    assert envs.closed


@pytest.mark.parametrize("wrapper", [RecordEpisodeStatistics, NormalizeReward])
def test_gymnasiums_vector_wrappers_see_what_they_see_elsewhere(wrapper: Any) -> None:
    ours, theirs = (wrapper(envs) for envs in both("AMC-MobileNet-v0", 3, **CHEAP))
    rng = np.random.default_rng(2)
    assert_same(ours.reset(seed=0), theirs.reset(seed=0))
    for _ in range(2 * steps(ours)):
        actions = actions_of(rng, 3)
        one, other = ours.step(actions), theirs.step(actions)
        for infos in (one[-1], other[-1]):
            if "episode" in infos:
                assert (infos["episode"].pop("t") >= 0).all()  # seconds
        assert_same(one, other)
    # Before 1.4, Gymnasium's wrapper loses a step of each SAME_STEP episode, theirs and ours alike.
    if wrapper is RecordEpisodeStatistics and Version(gym.__version__) >= Version("1.4"):
        assert one[-1]["episode"]["l"].tolist() == [14, 14, 14]
        assert one[-1]["episode"]["r"] == pytest.approx(one[1])
        assert ours.episode_count == 6
    elif wrapper is not RecordEpisodeStatistics:
        assert not np.array_equal(one[1], one[-1]["final_info"]["accuracy"])


def test_infos_can_be_had_as_a_list() -> None:
    envs = DictInfoToList(gym.make_vec("AMC-MobileNet-v0", num_envs=2, **CHEAP))
    envs.reset()
    *_, infos = envs.step(np.array([[0.0], [1.0]], dtype=np.float32))
    single = make_env("MobileNet", **CHEAP)
    single.reset()
    assert infos[0] == single.step(np.array([0.0]))[-1]


@pytest.mark.parametrize("resource", ["macs", "params"])
@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_costs_of_several_plans_are_those_of_each(resource: str, granularity: str) -> None:
    env = make_env("ResNet50", granularity=granularity, **CHEAP)
    cost, full = env.engine.costs[resource], np.array(env.engine.graph.full)
    rng = np.random.default_rng(0)
    plans = np.maximum(1, (rng.random((20, len(full))) * full).astype(np.int64))
    assert cost.totals(plans).dtype == np.int64
    assert cost.totals(plans).tolist() == [cost.total(plan) for plan in plans.tolist()]
    assert cost.totals(full[None]).tolist() == [cost.full]


def test_worker_processes_need_forkserver(monkeypatch: Any) -> None:
    """Start workers after this process has run convolutions: forked workers would hang."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    envs = gym.make_vec(
        "AMC-MobileNet-v0",
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"context": "forkserver", "autoreset_mode": AutoresetMode.SAME_STEP},
        **CHEAP,
    )
    ours = gym.make_vec("AMC-MobileNet-v0", num_envs=2, **CHEAP)
    rng = np.random.default_rng(0)
    assert_same(ours.reset(seed=0), envs.reset(seed=0))
    for _ in range(15):
        actions = actions_of(rng, 2)
        assert_same(ours.step(actions), envs.step(actions))
    envs.close()
