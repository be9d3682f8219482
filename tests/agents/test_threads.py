"""Threads: a learner has one, its environment all of the process's; both are restored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import pytest
import torch

import agents
from agents.threads import environment_threads, learner_threads


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_one_thread_inside_and_as_many_as_before_afterwards() -> None:
    with learner_threads():
        assert torch.get_num_threads() == 1
        with environment_threads():
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_learner_within_a_learner() -> None:
    with learner_threads():
        with learner_threads(), environment_threads():
            assert torch.get_num_threads() == 3
        with environment_threads():
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 1


def test_an_error_leaves_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError), learner_threads(), environment_threads():
        raise ZeroDivisionError
    assert torch.get_num_threads() == 3
    torch.set_num_threads(2)
    with environment_threads():  # no learner is at work any more
        assert torch.get_num_threads() == 2


class BrokenError(RuntimeError):
    pass


class Watched(gym.Wrapper[Any, Any, Any, Any]):
    """An environment that records the threads of each step, and fails after so many steps."""

    def __init__(self, env: gym.Env[Any, Any], steps: int) -> None:
        super().__init__(env)
        self.left, self.seen = steps, set()

    def step(self, action: Any) -> Any:
        self.seen.add(torch.get_num_threads())
        if self.left == 0:
            raise BrokenError
        self.left -= 1
        return super().step(action)


@pytest.mark.parametrize("name", ["amc-ddpg", "sb3-ddpg", "sb3-sac"])
def test_learners_have_one_thread_and_the_environment_all(name: str, make_env: Any) -> None:
    env = Watched(make_env(), steps=30)
    agent = agents.make(name, env, 0)
    learner = getattr(agent.learner, "model", agent.learner)
    method = "train" if name.startswith("sb3") else "_update"
    update, seen = getattr(learner, method), set()

    def watched(*args: Any, **kwargs: Any) -> None:
        seen.add(torch.get_num_threads())
        update(*args, **kwargs)

    setattr(learner, method, watched)
    with pytest.raises(BrokenError):
        agent.learn(4)  # one episode of warm-up, updates from the second on
    assert (seen, env.seen) == ({1}, {3})
    assert torch.get_num_threads() == 3
