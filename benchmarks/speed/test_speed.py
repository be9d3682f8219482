"""How long things take on AMC-MobileNet-v0: ``make bench-speed``.

Every figure is a measurement, none a test; the table at the end sets them beside what is wanted.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn

import agents
from amc_gym.compression.evaluator import count_hits
from amc_gym.compression.folding import fold_norms
from amc_gym.compression.slim import slim
from amc_gym.envs.amc import AMCEnv
from benchmarks.speed.conftest import Note

ENV = "AMC-MobileNet-v0"
ROUNDS = 60
"""Distinct plans that an episode and the bare forward pass are compared on."""

IMPORTS = "import gymnasium, resource, stable_baselines3, sys, time, torch, torchvision"

FIRST = f"""
{IMPORTS}
import amc_gym
began = time.perf_counter()
gymnasium.make("{ENV}")
print(time.perf_counter() - began)
"""

# Linux starts a process's ru_maxrss at its parent's size, so that a large pytest would hide what
# is measured here; VmHWM starts afresh.  Elsewhere: ru_maxrss, which macOS counts in bytes.
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
    """What a script prints, a number."""
    command = [sys.executable, "-W", "ignore", "-c", script]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def make() -> AMCEnv:
    """The environment without wrappers, whose checks are not ours to time."""
    env = gym.make(ENV, disable_env_checker=True).unwrapped
    assert isinstance(env, AMCEnv)
    return env


@pytest.fixture(scope="module")
def env() -> AMCEnv:
    return make()


@pytest.fixture(scope="module")
def ratios(env: AMCEnv) -> Iterator[np.ndarray]:
    """Actions of one random episode after the other, (units, 1) each, never the same."""

    def episodes() -> Iterator[np.ndarray]:
        rng = np.random.default_rng(0)
        while True:
            yield rng.random((len(env.engine.graph.units), 1), dtype=np.float32)

    return episodes()


def play(env: AMCEnv, actions: np.ndarray) -> None:
    """A whole episode."""
    env.reset()
    for action in actions:
        env.step(action)


def test_first_construction(benchmark: BenchmarkFixture) -> None:
    """Weights, data, tracing, calibration and factors; imports not included."""
    # Sleeping replays what the fresh process measured, so that it stands in the table.
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
    """A plan seen before: what the environment costs without the network."""
    actions = next(ratios)
    play(env, actions)
    benchmark(play, env, actions)


@pytest.fixture(scope="module")
def bare(env: AMCEnv) -> Callable[[], nn.Module]:
    """Builds the small network of the finished plan the plain way.

    Norms folded, channels last, PyTorch's own convolutions; its weights are not re-fitted, which
    changes no time.
    """
    folded, graph = fold_norms(env.task.model, env.engine.graph)

    def build() -> nn.Module:
        network = slim(folded, graph, env.plan.kept_channels(env.engine.graph))
        return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    return build


def test_bare_forward_pass(
    benchmark: BenchmarkFixture,
    env: AMCEnv,
    ratios: Iterator[np.ndarray],
    bare: Callable[[], nn.Module],
) -> None:
    """Small networks over the reward images and nothing else: what no episode can fall below."""
    batches = env.engine.evaluator.batches

    def network() -> tuple[tuple[Any, ...], dict[str, Any]]:
        play(env, next(ratios))
        built = bare()
        count_hits(built, batches)  # oneDNN compiles kernels for shapes it has not met
        return (built, batches), {}

    benchmark.pedantic(count_hits, setup=network, rounds=ROUNDS, warmup_rounds=5)


def test_episode_against_bare_forward_pass(
    env: AMCEnv, ratios: Iterator[np.ndarray], bare: Callable[[], nn.Module], note: Note
) -> None:
    """Episodes of new plans, each beside two passes of its network with kernels compiled.

    One pass is of the network as PyTorch would run it, one of the evaluator's own, whose 1 x 1
    convolutions are matrix products.  All three by turns, so that a busy machine slows all.
    """
    batches = env.engine.evaluator.batches
    plain: list[float] = []
    own: list[float] = []
    for _ in range(ROUNDS):
        episode = timed(play, env, next(ratios))
        network = bare()
        count_hits(network, batches)
        plain.append(episode / timed(count_hits, network, batches))
        evaluators = env.engine.evaluator.network(env.plan.counts)
        own.append(episode / timed(count_hits, evaluators, batches))
    note("episode / bare forward pass", median(plain))
    note("episode / the evaluator's own pass", median(own))


def timed(function: Callable[..., object], *arguments: object) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def test_memory(note: Note) -> None:
    """Peak over 100 random episodes, above what the imports take."""
    note("peak memory above imports", in_fresh_process(MEMORY))


def test_agent(env: AMCEnv, note: Note) -> None:
    """400 episodes of the paper's agent, the environment's part included."""
    env.engine.evaluator.forget()
    note("400 episodes of amc-ddpg", agents.make("amc-ddpg", env, 0).learn(400).seconds)


def median_of(benchmark: BenchmarkFixture) -> float:
    """Seconds."""
    metadata: Any = benchmark.stats
    return metadata.stats.median
