"""SuiteEnv: each episode has a context that is drawn by seed or named."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics, RescaleAction
from small import assert_same
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import agents
from agents.vec_env import AMCVecEnv
from amc_gym import CompressionPlan, Suite, validate
from amc_gym.envs.factory import make_env
from amc_gym.envs.observations.comparable import SIZE
from amc_gym.envs.vector import AMCVectorEnv
from amc_gym.registration import SUITES
from amc_gym.suites.engines import BoundedEngines, tensor_bytes
from amc_gym.suites.environment import make_suite_env
from amc_gym.suites.problems import SuiteProblems

QUICK = {"AMC-SuiteTrain-v0": "vgg-digits-0", "AMC-SuiteTest-v0": "vgg-digits-3"}
"""Networks that are quick to make."""


@pytest.fixture
def env(suite: Suite) -> Any:
    with gym.make("AMC-Suite-v0", suite=suite) as made:
        yield made


def episode(env: gym.Env, action: float = 0.5, **reset: Any) -> tuple[dict, float, dict]:
    """Play an episode of equal actions; return reset's info, the reward and the last info."""
    _, first = env.reset(**reset)
    over, reward, info = False, 0.0, {}
    while not over:
        observation, reward, over, _, info = env.step(np.array([action], dtype=np.float32))
        assert env.observation_space.contains(observation)
    return first, float(reward), info


def test_gymnasium_and_sb3_find_nothing_wrong(env: Any) -> None:
    check_env(env.unwrapped)
    sb3_check_env(env.unwrapped)
    assert env.observation_space == gym.spaces.Box(0, 1, (SIZE,), np.float32)
    assert env.action_space == gym.spaces.Box(0, 1, (1,), np.float32)


def test_contexts_are_drawn_by_seed_and_told(env: Any, suite: Suite) -> None:
    def drawn(seed: int) -> list[str]:
        env.reset(seed=seed)
        return [env.reset()[1]["context"] for _ in range(20)]

    one = drawn(0)
    assert one == drawn(0) != drawn(1)
    assert set(one) == {context.name for context in suite.contexts}
    lengths = set()
    for seed in range(4):
        first, _, info = episode(env, seed=seed)
        context = suite[first["context"]]
        ratio = 0.5 if context.preserve_ratio == "default" else context.preserve_ratio
        assert first == {"context": context.name, "preserve_ratio": ratio}
        assert {key: info[key] for key in first} == first
        assert info[f"{context.resource}_ratio"] <= ratio
        plan = CompressionPlan.from_json(info["plan"])
        assert plan.options["context"] == context.name
        assert plan.options["preserve_ratio"] == ratio
        assert validate(env.unwrapped.task, plan).ok
        lengths.add(env.unwrapped.steps_per_episode)
    assert lengths == {2, 4}


def test_an_episode_is_that_of_the_networks_own_environment(env: Any, suite: Suite) -> None:
    context = suite.contexts[2]
    options = {"reward": "relative", "action_mode": "residual", "observation": "comparable"}
    alone = make_env(context.task, resource="params", preserve_ratio=0.6, **options)
    _, reward, info = episode(env, 0.3, options={"context": context.name})
    _, expected, told = episode(alone, 0.3)
    assert reward == expected
    assert env.unwrapped.plan.counts == alone.plan.counts
    assert {key: info[key] for key in told if key != "plan"} == {
        key: value for key, value in told.items() if key != "plan"
    }


def test_contexts_can_be_named(env: Any) -> None:
    def named(**options: Any) -> dict[str, Any]:
        return env.reset(options=options)[1]

    assert named(context="stack/0.6") == {"context": "stack/0.6", "preserve_ratio": 0.6}
    assert {named(network="stack")["context"] for _ in range(20)} == {
        *("stack/0.4", "stack/0.6", "stack/0.6/params")
    }
    made = named(network="pair", preserve_ratio=0.7)
    assert made == {"context": "pair/0.7", "preserve_ratio": 0.7}
    assert named(context="pair/0.7") == made
    assert named(context="stack/0.4", preserve_ratio=0.6)["context"] == "stack/0.6"
    assert named(preserve_ratio=0.9)["preserve_ratio"] == 0.9


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "context": ({"context": "stack/0.6/parms"}, ValueError, "did you mean 'stack/0.6/params'"),
    "network": ({"network": "stak"}, ValueError, "unknown network of suite 'own' 'stak'; did you"),
    "both": ({"context": "stack/0.6", "network": "stack"}, ValueError, "name one of them"),
    "infeasible": (
        {"network": "pair", "preserve_ratio": 0.001},
        ValueError,
        "context 'pair/0.001': preserve_ratio=0.001 is infeasible.*smallest feasible ratio",
    ),
    "no number": ({"preserve_ratio": [1]}, TypeError, "preserve_ratio must be"),
    "no option": ({"contxt": "stack/0.6"}, ValueError, "did you mean 'context'"),
    "an argument": ({"observation": "graph"}, ValueError, r"gym.make\(\.\.\., observation="),
}


@pytest.mark.parametrize(("options", "error", "said"), REFUSED.values(), ids=REFUSED)
def test_what_there_is_not_is_refused(
    env: Any, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    env.reset(options={"context": "stack/0.4"})
    with pytest.raises(error, match=said):
        env.reset(options=options)
    assert env.unwrapped.options["context"] == "stack/0.4"


def test_before_the_first_episode_there_is_no_network(suite: Suite) -> None:
    env = make_suite_env(suite)
    with pytest.raises(gym.error.ResetNeeded, match="no network was drawn yet: call reset"):
        env.budget  # noqa: B018
    with pytest.raises(TypeError, match="unexpected keyword argument 'preserve_ratio'"):
        make_suite_env(suite, preserve_ratio=0.5)


def test_wrappers_see_what_they_see_elsewhere(env: Any) -> None:
    wrapped = RecordEpisodeStatistics(RescaleAction(env, np.float32(-1), np.float32(1)))
    _, reward, info = episode(wrapped, 0.0, seed=3)
    assert info["episode"]["l"] == env.unwrapped.steps_per_episode
    assert info["episode"]["r"] == pytest.approx(reward)
    least = env.unwrapped.problem.allocation.least_error
    assert env.unwrapped.plan.counts == least


def test_agents_play_one_context_through_plans(env: Any) -> None:
    env.reset(options={"context": "stack/0.4"})
    result = agents.make("uniform", env, seed=0).learn(1)
    assert result.best_episode.reward == 0
    assert result.best.options["context"] == "stack/0.4"


def test_all_episodes_may_have_one_context(suite: Suite) -> None:
    env = make_suite_env(suite, only="stack/0.5")
    assert env.steps_per_episode == 4  # known before any episode
    result = agents.make("random", env, seed=0).learn(3)
    assert env.budget.limit is not None
    assert max(episode.macs for episode in result.history) <= env.budget.limit
    assert result.best.options["context"] == "stack/0.5"
    with pytest.raises(ValueError, match="unknown context of suite 'own' 'pair/default'"):
        env.reset(options={"context": "pair/default"})
    with pytest.raises(ValueError, match=r"did you mean 'stack/0\.4'"):
        make_suite_env(suite, only="stak/0.4")


def both(suite: Suite, n: int, **options: Any) -> tuple[AMCVectorEnv, SyncVectorEnv]:
    ours = gym.make_vec("AMC-Suite-v0", n, suite=suite, **options)
    theirs = SyncVectorEnv(
        [lambda: make_suite_env(suite, **options)] * n, autoreset_mode=AutoresetMode.SAME_STEP
    )
    assert type(ours) is AMCVectorEnv
    return ours, theirs


@pytest.mark.parametrize("observation", ["comparable", "graph", "paper"])
def test_several_environments_draw_a_context_each(suite: Suite, observation: str) -> None:
    ours, theirs = both(suite, 3, observation=observation)
    rng = np.random.default_rng(0)
    assert_same(ours.reset(seed=2), theirs.reset(seed=2))
    contexts = set()
    for _ in range(12):
        actions = rng.random((3, 1)).astype(np.float32)
        one = ours.step(actions)
        assert_same(one, theirs.step(actions))
        if "final_info" in one[-1]:
            contexts |= set(one[-1]["final_info"]["context"].tolist()) - {None}
    assert len(contexts) > 2
    _, infos = ours.reset(options={"network": "pair", "preserve_ratio": 0.7})
    assert infos["context"].tolist() == ["pair/0.7"] * 3


def test_sb3_learns_on_several(suite: Suite) -> None:
    envs = AMCVecEnv(gym.make_vec("AMC-Suite-v0", 4, suite=suite))
    envs.seed(0)
    envs.reset()
    assert all("context" in info for info in envs.reset_infos)
    for _ in range(4):
        *_, dones, infos = envs.step(np.full((4, 1), 0.5, dtype=np.float32))
        for i in np.flatnonzero(dones):
            ended = CompressionPlan.from_json(infos[i]["plan"]).options["context"]
            assert infos[i]["context"] == ended
            assert envs.reset_infos[i]["context"] == envs.envs[i].options["context"]
    PPO("MlpPolicy", envs, n_steps=4, batch_size=16, n_epochs=1, seed=0).learn(32)


@pytest.mark.parametrize("id_", SUITES)
def test_every_id_draws_from_its_suite(id_: str) -> None:
    env = gym.make(id_, reward_images=20)
    contexts = {context.name: context for context in env.unwrapped.suite.contexts}
    first, _, info = episode(env, options={"network": QUICK.get(id_, "VGG16")})
    assert info["context"] == first["context"] in contexts
    assert env.unwrapped.suite.name == SUITES[id_].get("suite", "digits-v1")
    assert info["macs_ratio"] <= first["preserve_ratio"]


def test_the_spec_makes_the_same_again() -> None:
    env = gym.make("AMC-Suite-v0", suite="digits-v1", reward_images=20)
    assert env.spec is not None
    spec = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
    options = {"context": "VGG16/0.2"}
    assert episode(gym.make(spec), options=options) == episode(env, options=options)


def test_engines_are_kept_within_their_bound(suite: Suite) -> None:
    env = make_suite_env(suite)
    env.reset(options={"network": "stack"})
    held = tensor_bytes(env.engine)
    assert held > sum(p.numel() * 4 for p in env.task.model.parameters())
    store = BoundedEngines(most_bytes=held)  # room for this network, not for a second
    given = env.problems
    problems = SuiteProblems(suite, *given.made_with, store=store)
    problems.draw({"network": "stack"}, env)
    assert len(store) == 1
    engine = problems.draw({"context": "stack/0.4"}, env)[0].engine
    assert problems.draw({"context": "stack/0.6"}, env)[0].engine is engine
    problems.draw({"network": "pair"}, env)
    assert len(store) == 1
    assert store.bytes <= held
    assert problems.draw({"context": "stack/0.6"}, env)[0].engine is not engine
