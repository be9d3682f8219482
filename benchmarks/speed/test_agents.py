"""Cost of each agent by itself, compared with the environment's part of an episode.

CPU time on one thread, which a busy machine stretches less than the wall clock.  A quarter of the
episodes is warm-up without updates, as in the budgets of the benchmark.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import pytest
import torch

import agents
from agents import kind_of
from benchmarks.speed import tables
from benchmarks.speed.clocked import Clocked
from benchmarks.speed.conftest import Row
from benchmarks.speed.timing import clock

ENV = "AMC-MobileNet-v0"
EPISODES = 40


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", sorted(n for n in agents.FACTORIES if kind_of(n) != "policy"))
def test_agent(name: str, row: Row) -> None:
    """No evaluation is cached at the start; plans that recur are not evaluated again."""
    env = Clocked(gym.make(ENV, disable_env_checker=True))
    inner: Any = env.unwrapped
    inner.engine.evaluator.forget()
    agent, now = agents.make(name, env, 0), clock()
    began = now()
    result = agent.learn(EPISODES)
    own = now() - began - env.seconds
    figures = {
        "episodes": result.evaluations,
        "distinct": result.distinct,
        "own_ms": 1e3 * own / result.evaluations,
        "environment_ms": 1e3 * env.seconds / result.evaluations,
        "ratio": own / env.seconds,
    }
    row(tables.AGENTS, name, figures)
