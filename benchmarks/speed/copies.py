"""Costs of copies of an environment, in one process and in workers.

``python -m benchmarks.speed.copies one|64`` runs in this process, ``... imports|made|shared
digits|imagenet`` in workers of an ``AsyncVectorEnv``; each prints one line of JSON.  Memory is read
from Linux's /proc/PID/smaps_rollup.  *Private* memory belongs to one process only and is freed with
it; pages that several processes map are not private to any of them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import amc_gym
from amc_gym.zoo import models

COPIES = 64
EPISODES = 20
WORKERS = 2

Make = Callable[[], gym.Env[Any, Any]]


def memory_mb(pid: int | str | None = "self") -> dict[str, float]:
    """Return the MB private to a process, and its share of all the memory that it maps."""
    kilobytes = {}
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        for line in rollup:
            name, *rest = line.split()
            if rest[-1:] == ["kB"]:
                kilobytes[name.rstrip(":")] = int(rest[0])
    private = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return {"private": private * 1.024e-3, "share": kilobytes["Pss"] * 1.024e-3}


def imagenet_task() -> amc_gym.CompressionTask:
    """Return a task of a full-size MobileNet with random weights and images of 64 x 64."""
    draw = torch.Generator().manual_seed(0)
    calibration, reward, test = (
        amc_gym.Split(
            torch.randn(n, 3, 64, 64, generator=draw), torch.randint(1000, (n,), generator=draw)
        )
        for n in (210, 50, 20)
    )
    torch.manual_seed(0)
    model = models.build("MobileNet", "imagenet").eval()
    return amc_gym.CompressionTask(model, calibration, reward, test)


def digits() -> gym.Env[Any, Any]:
    """Make MobileNet on digits."""
    return gym.make("AMC-MobileNet-v0")


def imagenet() -> gym.Env[Any, Any]:
    """Make MobileNet at ImageNet's size."""
    return gym.make("AMC-v0", task=imagenet_task)


class Imports(gym.Env[np.ndarray, np.ndarray]):
    """An environment that has imported everything and built nothing."""

    observation_space = gym.spaces.Box(0, 1, (11,))
    action_space = gym.spaces.Box(0, 1, (1,))
    metadata: dict[str, Any] = {}  # noqa: RUF012

    def reset(self, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Return a constant observation."""
        return np.zeros(11, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Do nothing."""
        return np.zeros(11, np.float32), 0.0, False, False, {}


class Timed:
    """Factory of environments that record their construction time, on one torch thread."""

    def __init__(self, make: Make) -> None:
        self.make = make

    def __call__(self) -> gym.Env[Any, Any]:
        """Make the environment, and record how long it took."""
        torch.set_num_threads(1)
        began = time.perf_counter()
        env = self.make()
        env.unwrapped.seconds = time.perf_counter() - began  # pyright: ignore[reportAttributeAccessIssue]
        return env


def in_one_process(copies: int) -> dict[str, float]:
    """Measure private MB after as many episodes on one environment, or one on each of its copies.

    The episodes are the same, since plans use memory too: compiled kernels, cached evaluations.
    """
    torch.set_num_threads(1)
    envs = [digits() for _ in range(copies)]
    rng = np.random.default_rng(0)
    for episode in range(COPIES):
        env = envs[episode % copies]
        env.reset()
        terminated = False
        while not terminated:
            terminated = env.step(rng.random(1, dtype=np.float32))[2]
    return memory_mb()


def in_workers(how: str, make: Make) -> dict[str, float]:
    """Average over workers after some episodes each: private MB, share of MB, seconds to make."""
    torch.set_num_threads(1)
    if how == "imports":
        make = Imports
    elif how == "shared":
        make = amc_gym.share(make())
    envs = gym.vector.AsyncVectorEnv([Timed(make)] * WORKERS, context="forkserver")
    rng = np.random.default_rng(0)
    envs.reset()
    finished = 0
    while how != "imports" and finished < EPISODES * WORKERS:
        finished += envs.step(rng.random((WORKERS, 1), dtype=np.float32))[2].sum()
    found = [memory_mb(process.pid) for process in envs.processes]
    seconds = envs.get_attr("seconds")
    envs.close()
    return {
        "private": float(np.mean([memory["private"] for memory in found])),
        "share": float(np.mean([memory["share"] for memory in found])),
        "seconds": float(np.mean(seconds)),
    }


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    how, *network = sys.argv[1:]
    if network:
        print(json.dumps(in_workers(how, {"digits": digits, "imagenet": imagenet}[network[0]])))
    else:
        print(json.dumps(in_one_process(COPIES if how == str(COPIES) else 1)))
