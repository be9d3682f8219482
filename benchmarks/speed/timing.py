"""Clocks, spreads, and the bare forward pass that everything else is compared with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from amc_gym.compression.evaluation.folding import fold_norms
from amc_gym.compression.evaluation.hits import count_hits
from amc_gym.compression.evaluation.scoring import Batch
from amc_gym.compression.slim import slim
from amc_gym.envs.compression_env import CompressionEnv

SMALLEST, ROUNDS, HOPELESS = 6, 3, 1.5
"""The best batch size is sought among all images, half of them, and so on down to SMALLEST, and the
evaluator's own sizes; those slower than HOPELESS times the best are timed in one round only."""


def cpu_seconds() -> float:
    """Return CPU time of this process and of the children it waited for.

    A busy machine stretches the wall clock but not this one.  It counts every thread, so it equals
    elapsed time only where there is one.
    """
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def clock() -> Callable[[], float]:
    """Return the clock that suits the number of torch threads: see ``cpu_seconds``."""
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def timed(function: Callable[..., object], *arguments: object) -> float:
    """Measure the seconds that a call takes, by ``clock``."""
    now = clock()
    began = now()
    function(*arguments)
    return now() - began


def elapsed(device: torch.device, call: Callable[[], object]) -> float:
    """Measure the wall-clock seconds of a call, until the device has finished it."""
    _wait(device)
    began = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Spread:
    """Quartiles of ``n`` figures."""

    low: float
    median: float
    high: float
    n: int

    @staticmethod
    def of(figures: Sequence[float]) -> Spread:
        """Return the median and quartiles of figures."""
        low, median, high = (float(x) for x in np.quantile(figures, (0.25, 0.5, 0.75)))
        return Spread(low, median, high, len(figures))


def plans(env: CompressionEnv, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield actions of one random episode after another, (units, 1) each, never the same."""
    rng = np.random.default_rng(seed)
    while True:
        yield rng.random((len(env.engine.graph.units), 1), dtype=np.float32)


def play(env: CompressionEnv, actions: np.ndarray) -> None:
    """Play a whole episode, from reset to reward."""
    env.reset()
    for action in actions:
        env.step(action)


class BarePass:
    """Slim networks as PyTorch alone would run them, over the reward images.

    Norms are folded, memory is channels last, images are resident, convolutions are PyTorch's own,
    kernels are compiled, and the batch size is the fastest here.  No evaluation by eager PyTorch in
    the same arithmetic can be faster.  The weights are not re-fitted, which changes no time.

    Args:
        env: environment with the networks and reward images; an episode of it must have ended.

    Attributes:
        size: images per batch.
        batches: the reward images, ``size`` at a time.
    """

    def __init__(self, env: CompressionEnv) -> None:
        self._env = env
        self._folded, self._graph = fold_norms(env.task.model, env.engine.graph)
        self.size = self._fastest()
        self.batches = self._cut(self.size)

    def network(self) -> nn.Module:
        """Return the slim network of the environment's finished plan."""
        kept = self._env.plan.kept_channels(self._env.engine.graph)
        network = slim(self._folded, self._graph, kept)
        return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def warm(self) -> nn.Module:
        """Return the network after one pass, in which oneDNN compiles kernels for new shapes."""
        network = self.network()
        count_hits(network, self.batches)
        return network

    def _cut(self, size: int) -> list[Batch]:
        images = self._env.task.reward.first(self._env.engine.reward_images)
        return [(channels_last(batch), labels) for batch, labels in images.batches(size)]

    def _fastest(self) -> int:
        """Return the batch size with the fastest pass: all sizes in turn, the minimum of each."""
        network = self.network()
        sizes = {len(labels) for _, labels in self._env.engine.evaluator.batches}
        size = self._env.engine.reward_images
        while size >= SMALLEST:
            sizes.add(size)
            size //= 2
        cut = {size: self._cut(size) for size in sorted(sizes, reverse=True)}
        for batches in cut.values():
            count_hits(network, batches)
        least = {size: timed(count_hits, network, batches) for size, batches in cut.items()}
        for _ in range(ROUNDS - 1):
            for size in [s for s in cut if least[s] <= HOPELESS * min(least.values())]:
                least[size] = min(least[size], timed(count_hits, network, cut[size]))
        return min(least, key=lambda size: least[size])


def channels_last(images: torch.Tensor) -> torch.Tensor:
    """Return images (N, C, H, W) in channels-last layout, also if they have one channel.

    With one channel torch cannot tell the layouts apart, and convolutions would use the slow one.
    """
    return torch.empty_like(images, memory_format=torch.channels_last).copy_(images)
