"""Times on AMC-MobileNet-v0: ``make bench-speed``.

Every figure is a measurement, not a test; the table at the end compares them with their targets.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import agents
from amc_gym.envs.amc import AMCEnv
from benchmarks.speed.conftest import Note
from benchmarks.speed.timing import plans, play, timed

ENV = "AMC-MobileNet-v0"
ROUNDS = 60
"""Episodes that are timed, each with a plan of its own."""

IMPORTS = "import gymnasium, resource, stable_baselines3, sys, time, torch, torchvision"

FIRST = f"""
{IMPORTS}
import amc_gym
began = time.perf_counter()
gymnasium.make("{ENV}")
print(time.perf_counter() - began)
"""

# Linux starts a process's ru_maxrss at its parent's size, so that a large pytest would hide what
# is measured here; VmHWM starts at zero.  Elsewhere: ru_maxrss, which macOS counts in bytes.
MEMORY = f"""
{IMPORTS}
def peak():
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            (line,) = (line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
before = peak()
import amc_gym
env = gymnasium.make("{ENV}")
env.action_space.seed(0)
for _ in range(100):
    env.reset()
    terminated = False
    while not terminated:
        terminated = env.step(env.action_space.sample())[2]
print(peak() - before)
"""


def in_fresh_process(script: str) -> float:
    """Run a script that prints a number, and return the number."""
    command = [sys.executable, "-W", "ignore", "-c", script]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def make() -> AMCEnv:
    """Return the environment without wrappers, whose checks are not part of what is timed."""
    env = gym.make(ENV, disable_env_checker=True).unwrapped
    assert isinstance(env, AMCEnv)
    return env


@pytest.fixture(scope="module")
def env() -> AMCEnv:
    return make()


@pytest.fixture(scope="module")
def ratios(env: AMCEnv) -> Iterator[np.ndarray]:
    """Yield actions of one random episode after another, never the same."""
    return plans(env)


def test_first_construction(benchmark: BenchmarkFixture) -> None:
    """Weights, data, tracing, calibration and factors; imports not included."""
    # Sleep for as long as the fresh process took, so that its time appears in the table.
    benchmark.pedantic(time.sleep, (in_fresh_process(FIRST),), rounds=1)


def test_second_construction(benchmark: BenchmarkFixture, env: AMCEnv, note: Note) -> None:
    benchmark(make)
    note("second construction", median_of(benchmark) * 1e3)


def test_reset(benchmark: BenchmarkFixture, env: AMCEnv) -> None:
    benchmark(env.reset)


def test_step(benchmark: BenchmarkFixture, env: AMCEnv, note: Note) -> None:
    """A step that does not end the episode: the median over all of them."""
    action = np.array([0.5], np.float32)
    remaining = 0

    def ready() -> None:
        nonlocal remaining
        if remaining == 0:
            env.reset()
            remaining = len(env.engine.graph.units) - 1
        remaining -= 1

    benchmark.pedantic(env.step, (action,), setup=ready, rounds=2000, warmup_rounds=50)
    note("non-terminal step", median_of(benchmark) * 1e6)


def test_episode(benchmark: BenchmarkFixture, env: AMCEnv, ratios: Iterator[np.ndarray]) -> None:
    """A plan never seen before, from reset to reward."""
    benchmark.pedantic(
        play, setup=lambda: ((env, next(ratios)), {}), rounds=ROUNDS, warmup_rounds=5
    )


def test_remembered_episode(
    benchmark: BenchmarkFixture, env: AMCEnv, ratios: Iterator[np.ndarray]
) -> None:
    """A plan seen before: the cost of the environment without the network."""
    actions = next(ratios)
    play(env, actions)
    benchmark(play, env, actions)


def test_memory(note: Note) -> None:
    """Peak over 100 random episodes, above the memory of the imports."""
    note("peak memory above imports", in_fresh_process(MEMORY))


def test_agent(env: AMCEnv, note: Note) -> None:
    """400 episodes of the paper's agent, including the environment's part."""
    env.engine.evaluator.forget()
    note("400 episodes of amc-ddpg", timed(agents.make("amc-ddpg", env, 0).learn, 400))


def median_of(benchmark: BenchmarkFixture) -> float:
    """Return the median in seconds."""
    metadata: Any = benchmark.stats
    return metadata.stats.median
