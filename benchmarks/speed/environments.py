"""Episodes per second of one environment and of eight: ``python -m benchmarks.speed.environments``.

Prints JSON.  Measures wall-clock time, since the question is how much all cores do together, and
runs in a process of its own, since OpenMP reads its number of threads only once.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from statistics import median

import numpy as np
import torch
import tyro
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from amc_gym.envs.factory import make_env, make_vector_env
from benchmarks.speed.limit import threads_gain
from benchmarks.speed.timing import plans, play

ENVIRONMENTS, ROUNDS = 8, 9

Play = Callable[[list[np.ndarray]], None]
"""Plays the episodes with the given actions, (units, 1) each."""


def measure(threads: int, images: int = 400) -> dict[str, float | None]:
    """Play new episodes of MobileNet on digits in every way in turn, eight at a time.

    Args:
        threads: torch threads, except in "one_core".
        images: reward images; with 200 or more, a single evaluation uses two cores.

    Returns:
        Episodes per second of one environment on one core and on ``threads``, and of eight in
        Gymnasium's ``SyncVectorEnv`` and in ours; with several threads also "parallel", the
        speed-up of a matrix product by them.
    """
    parallel = threads_gain(threads)
    make = partial(make_env, "MobileNet", reward_images=images, device="cpu")
    single = make()
    vectors = {
        "sync": SyncVectorEnv([make] * ENVIRONMENTS, autoreset_mode=AutoresetMode.SAME_STEP),
        "vector": make_vector_env(ENVIRONMENTS, "MobileNet", reward_images=images, device="cpu"),
    }

    def one_by_one(episodes: list[np.ndarray]) -> None:
        for actions in episodes:
            play(single, actions)

    def lock_step(name: str, episodes: list[np.ndarray]) -> None:
        vectors[name].reset()
        for actions in np.stack(episodes, axis=1):
            vectors[name].step(actions)

    def on_one_core(episodes: list[np.ndarray]) -> None:
        torch.set_num_threads(1)
        one_by_one(episodes)
        torch.set_num_threads(threads)

    ways: dict[str, Play] = {
        "one_core": on_one_core,
        "single": one_by_one,
        "sync": lambda episodes: lock_step("sync", episodes),
        "vector": lambda episodes: lock_step("vector", episodes),
    }
    torch.set_num_threads(threads)
    stream = plans(single)
    for way in ways.values():  # one-time costs of first episodes
        way(_next(stream))
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            episodes, began = _next(stream), time.perf_counter()
            way(episodes)
            seconds[name].append(time.perf_counter() - began)
    return {"parallel": parallel} | {
        name: ENVIRONMENTS / median(each) for name, each in seconds.items()
    }


def _next(stream: Iterator[np.ndarray]) -> list[np.ndarray]:
    return list(islice(stream, ENVIRONMENTS))


if __name__ == "__main__":
    json.dump(tyro.cli(measure), sys.stdout)
