"""The protocol of agents: a user's own agents take part, and mistakes are refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import agents


@pytest.fixture(autouse=True)
def restore_the_table() -> Iterator[None]:
    before = dict(agents.FACTORIES)
    yield
    agents.FACTORIES.clear()
    agents.FACTORIES.update(before)


def play(env: gym.Env[Any, Any], action: Any) -> None:
    env.reset()
    while not env.step(action)[2]:
        pass


def test_agent_of_ones_own_in_three_lines(make_env: Any) -> None:
    @agents.register("half")
    class Half:
        def __init__(self, env: gym.Env[Any, Any], seed: int) -> None:
            self.env = env

        def learn(self, episodes: int) -> None:
            play(self.env, [0.5])

    result = agents.make("half", make_env(), seed=3).learn(episodes=10)
    assert result.evaluations == result.distinct == 1
    assert result.best.counts == result.history[0].channels


def test_no_search_ends_below_the_uniform_plan_where_it_is_evaluated_first(make_env: Any) -> None:
    @agents.register("worst")
    class Worst:
        def __init__(self, env: gym.Env[Any, Any], seed: int) -> None:
            self.env = env

        def learn(self, episodes: int) -> None:
            for _ in range(episodes):
                play(self.env, [1.0])

    uniform = agents.make("uniform", make_env(), seed=0).learn(1).history[0]
    result = agents.make("worst", make_env(), seed=0, uniform_first=True).learn(3)
    assert result.evaluations == len(result.history) == 3
    assert result.history[0].channels == uniform.channels
    assert max(each.reward for each in result.history) >= uniform.reward
    assert agents.make("worst", make_env(), seed=0, uniform_first=True).learn(1).evaluations == 1
    assert agents.fingerprint("uniform", uniform_first=True) == agents.fingerprint("uniform")
    with pytest.raises(TypeError, match="uniform_first"):
        agents.make("worst", make_env(), seed=0, uniform_first="yes")
    with pytest.raises(ValueError, match="uniform_first needs a budget"):
        agents.make("worst", make_env(preserve_ratio=None), seed=0, uniform_first=True)


class Spendthrift:
    """An agent that never stops, whatever is raised."""

    def __init__(self, env: gym.Env[Any, Any], seed: int) -> None:
        self.env = env
        self.errors = 0

    def learn(self, episodes: int) -> None:
        while True:
            try:
                play(self.env, [0.5])
            except Exception:
                self.errors += 1


def test_learner_that_spends_more_than_its_budget_is_stopped(make_env: Any) -> None:
    agents.register("spendthrift")(Spendthrift)
    agent = agents.make("spendthrift", make_env(), seed=0)
    result = agent.learn(2)
    assert (result.evaluations, len(result.history), result.stopped) == (2, 2, True)
    assert agent.learner.errors == 0


def test_plans_on_the_side_are_within_the_budget_too(make_env: Any) -> None:
    @agents.register("sidelong")
    class Sidelong:
        def __init__(self, env: Any, seed: int) -> None:
            self.env = env

        def learn(self, episodes: int) -> None:
            play(self.env, [0.5])
            counts = self.env.history[0].channels
            for _ in range(episodes):
                self.env.aside(counts)

    result = agents.make("sidelong", make_env(), seed=0).learn(3)
    assert (result.evaluations, len(result.history), result.stopped) == (3, 1, True)


def test_learner_that_keeps_to_its_budget_may_reset_after_it(make_env: Any) -> None:
    @agents.register("tidy")
    class Tidy:
        def __init__(self, env: gym.Env[Any, Any], seed: int) -> None:
            self.env = env

        def learn(self, episodes: int) -> None:
            for _ in range(episodes):
                play(self.env, [0.5])
            self.env.reset()
            self.done = True

    agent = agents.make("tidy", make_env(), seed=0)
    assert not agent.learn(2).stopped
    assert agent.learner.done


def test_arguments_reach_the_agent(make_env: Any) -> None:
    agent = agents.make("amc-ddpg", make_env(), 0, sigma=0.25, hidden=8)
    assert (agent.learner.options.sigma, agent.learner.options.hidden) == (0.25, 8)
    agent = agents.make("sb3-td3", make_env(), 0, batch_size=7, warmup_episodes=3)
    assert agent.learner.model.batch_size == 7
    with pytest.raises(TypeError, match="sigmar"):
        agents.make("amc-ddpg", make_env(), 0, sigmar=0.25)
    with pytest.raises(TypeError, match="nothing"):
        agents.make("random", make_env(), 0, nothing=1)


def test_learner_that_finishes_nothing_is_refused(make_env: Any) -> None:
    @agents.register("idle")
    class Idle:
        def __init__(self, env: gym.Env[Any, Any], seed: int) -> None: ...

        def learn(self, episodes: int) -> None: ...

    with pytest.raises(RuntimeError, match="finished 0 episodes"):
        agents.make("idle", make_env(), seed=0).learn(2)


def test_taken_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'random' is registered already"):
        agents.register("random")(agents.FACTORIES["uniform"])
    with pytest.raises(ValueError, match="'rules' is the name of a kind of agents"):
        agents.register("rules")(agents.FACTORIES["uniform"])


def test_unknown_name_is_answered_with_the_near_match(make_env: Any) -> None:
    with pytest.raises(ValueError, match="did you mean 'amc-ddpg'"):
        agents.make("amc-dppg", make_env(), seed=0)


def test_an_agent_says_what_it_is() -> None:
    agents.register("mine")(Spendthrift)
    agents.register("my-rule", kind="rule")(Spendthrift)
    agents.register("dice", kind="rule", deterministic=False)(Spendthrift)
    agents.register("grid", kind="searcher", deterministic=True)(Spendthrift)
    names = ("mine", "my-rule", "dice", "grid", "nobody")
    assert [agents.kind_of(name) for name in names] == [
        *("learner", "rule", "rule", "searcher"),
        None,
    ]
    assert [agents.is_deterministic(name) for name in names] == [False, True, False, True, False]
    with pytest.raises(ValueError, match="unknown kind of agent 'rules'; did you mean 'rule'"):
        agents.register("other", kind="rules")


def test_kinds_stand_for_their_agents() -> None:
    agents.register("my-rule", kind="rule")(Spendthrift)
    rules = agents.named(["rules"])
    assert {"uniform", "shallow", "deep", "width-multiplier", "my-rule"} == set(rules)
    everyone = agents.named(["uniform", "searchers", "rules", "learners", "uniform"])
    assert everyone[0] == "uniform"
    assert sorted(everyone) == sorted(
        name for name in agents.FACTORIES if agents.kind_of(name) != "policy"
    )
    with pytest.raises(ValueError, match="did you mean 'learners'"):
        agents.named(["leaners"])


MINE = """
import agents

class Plain:
    def __init__(self, env, seed): ...
    def learn(self, episodes): ...

@agents.register("careful", kind="rule")
class Careful(Plain): ...
"""


def test_agents_are_named_by_their_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "agents_of_mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    names = agents.named(["agents_of_mine:Plain", "agents_of_mine:Careful"])
    assert names == ["agents_of_mine:Plain", "careful"]
    assert list(map(agents.kind_of, names)) == ["learner", "rule"]
    assert agents.named(names) == names
    assert agents.named(["rules"])[-1] == "careful"
    assert len(agents.fingerprint(names[0])) == 16
    with pytest.raises(ValueError, match="agents_of_mine has no class or function 'Nobody'"):
        agents.named(["agents_of_mine:Nobody"])
    with pytest.raises(ImportError, match="nowhere_at_all"):
        agents.named(["nowhere_at_all:Nobody"])
    del sys.modules["agents_of_mine"]


def test_what_an_agent_needs_is_looked_for_when_it_is_made(make_env: Any) -> None:
    agents.register("far", needs=["json", "nowhere_at_all"])(Spendthrift)
    with pytest.raises(ImportError, match="agent 'far' needs nowhere_at_all: pip install"):
        agents.make("far", make_env(), 0)


def test_budget_below_one_is_refused(make_env: Any) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        agents.make("random", make_env(), seed=0).learn(0)


def test_only_sb3_agents_need_stable_baselines3() -> None:
    """Run in a new process, because this one has imported Stable-Baselines3 already."""
    program = """
import sys
sys.modules["stable_baselines3"] = sys.modules["yaml"] = None
import agents
try:
    agents.FACTORIES["sb3-ddpg"](None, 0)
except ImportError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "agent 'sb3-ddpg' needs stable_baselines3" in run.stdout
    assert "pip install 'amc-gym[agents]'" in run.stdout
