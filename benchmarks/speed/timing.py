"""Clocks, spreads, and the bare forward pass that everything else is measured against."""

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
"""The best batch size is sought among all images, half of them, and so on down to the smallest, and
the evaluator's own sizes; those that take so many times the best are timed in one round only."""


def cpu_seconds() -> float:
    """CPU time of this process and of the children it waited for.

    A busy machine stretches the wall clock and not this one; it counts every thread, so it stands
    for elapsed time only where there is one.
    """
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def clock() -> Callable[[], float]:
    """Return the clock that suits the number of torch threads: see ``cpu_seconds``."""
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def timed(function: Callable[..., object], *arguments: object) -> float:
    """Seconds that a call takes, by ``clock``."""
    now = clock()
    began = now()
    function(*arguments)
    return now() - began


def elapsed(device: torch.device, call: Callable[[], object]) -> float:
    """Wall-clock seconds of a call, until the device is done with it."""
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
        """Median and quartiles of figures."""
        low, median, high = (float(x) for x in np.quantile(figures, (0.25, 0.5, 0.75)))
        return Spread(low, median, high, len(figures))


def plans(env: CompressionEnv, seed: int = 0) -> Iterator[np.ndarray]:
    """Actions of one random episode after the other, (units, 1) each, never the same."""
    rng = np.random.default_rng(seed)
    while True:
        yield rng.random((len(env.engine.graph.units), 1), dtype=np.float32)


def play(env: CompressionEnv, actions: np.ndarray) -> None:
    """A whole episode, from reset to reward."""
    env.reset()
    for action in actions:
        env.step(action)


class BarePass:
    """Small networks as PyTorch alone would run them, over the reward images.

    Norms folded, channels last, images resident, PyTorch's own convolutions, kernels compiled, and
    the batch size that is fastest here: what no evaluation by eager PyTorch in the same arithmetic
    can fall below.  The weights are not re-fitted, which changes no time.

    Args:
        env: whose networks and reward images; an episode of it must have ended.

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
        """Return the small network of the environment's finished plan."""
        kept = self._env.plan.kept_channels(self._env.engine.graph)
        network = slim(self._folded, self._graph, kept)
        return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def warm(self) -> nn.Module:
        """Measure after one pass: oneDNN compiles kernels for shapes that it has not met."""
        network = self.network()
        count_hits(network, self.batches)
        return network

    def _cut(self, size: int) -> list[Batch]:
        images = self._env.task.reward.first(self._env.engine.reward_images)
        return [(channels_last(batch), labels) for batch, labels in images.batches(size)]

    def _fastest(self) -> int:
        """Return the batch size with the fastest pass, all sizes by turns, the least of each."""
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
    """Images (N, C, H, W) with channels last, also where they have one channel.

    There torch takes either order for the other, and convolutions would go on in the slow one.
    """
    return torch.empty_like(images, memory_format=torch.channels_last).copy_(images)
