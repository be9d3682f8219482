"""Times of agent and environment, on a clock that moves only when one of them works."""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import pytest

import agents

STEP, RESET, TELL, THINK = 1.0, 100.0, 10_000.0, 1_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Timed(gym.Wrapper[Any, Any, Any, Any]):
    """An environment whose steps and resets take fixed times on the clock."""

    def __init__(self, env: gym.Env[Any, Any], clock: Clock) -> None:
        super().__init__(env)
        self.clock = clock

    def reset(self, **kwargs: Any) -> Any:
        self.clock.now += RESET
        return super().reset(**kwargs)

    def step(self, action: Any) -> Any:
        self.clock.now += STEP
        return super().step(action)


def test_times_of_agent_and_environment_are_kept_apart(
    make_env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    env = Timed(make_env(), clock)

    class Thinker:
        def __init__(self, env: gym.Env[Any, Any], seed: int) -> None:
            self.env = env

        def learn(self, episodes: int) -> None:
            for _ in range(episodes):
                self.env.reset()
                over = False
                while not over:
                    clock.now += THINK
                    over = self.env.step([0.5])[2]

    monkeypatch.setattr(agents.registry, "FACTORIES", {})
    agents.register("thinker")(Thinker)
    agent = agents.make("thinker", env, 0)

    def tell(episode: agents.Episode) -> None:
        clock.now += TELL

    monkeypatch.setattr(time, "perf_counter", clock)
    result = agent.learn(3, tell)
    monkeypatch.undo()

    steps = 3 * 14
    assert result.environment_seconds == steps * STEP + 3 * (RESET + TELL)
    assert result.seconds - result.environment_seconds == steps * THINK
    # An episode is finished with its last step, before the agent thinks about it.
    first = RESET + 14 * (STEP + THINK)
    assert [episode.seconds for episode in result.history] == [
        first,
        2 * first + TELL,
        3 * first + 2 * TELL,
    ]
