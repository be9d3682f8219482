"""Workloads that are measured: single layers, and whole networks of fewer channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from amc_gym._utils.machine import processor
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.latency.layers import Geometry
from amc_gym.compression.latency.runtimes import RUNTIMES, Pass
from amc_gym.compression.latency.table import Device
from amc_gym.compression.slim import slim

LEAST_SHARE = 0.2
"""Smallest share of a unit's channels in a random plan: 1 minus the paper's a_max."""


@dataclass(frozen=True)
class Workload:
    """A network to measure, and how to measure it.

    Attributes:
        model: the network, in eval mode.
        graph: its channel graph.
        image: (1, C, H, W), on the device.
        device: the device that is measured.
        multiple: channels in random plans are multiples of this.
    """

    model: nn.Module
    graph: ChannelGraph
    image: Tensor
    device: Device
    multiple: int = 1

    @property
    def images(self) -> Tensor:
        """Return a batch of images."""
        return self.image.repeat(self.device.batch, 1, 1, 1)

    def network(self, counts: Sequence[int]) -> nn.Module:
        """Return a network that keeps ``counts`` channels; which ones does not affect its time."""
        units = zip(self.graph.units, counts, strict=True)
        kept = tuple(unit.first(count) for unit, count in units)
        return slim(self.model, self.graph, kept)

    def whole(self, counts: Sequence[int]) -> Pass:
        """Return a pass of the network that keeps ``counts[u]`` channels of unit u."""
        return self.prepare(self.network(counts), self.images)

    def layer(self, geometry: Geometry, inputs: int, outputs: int) -> Pass:
        """Return a pass of a single layer with the given channels."""
        images = geometry.input(self.device.batch, inputs, outputs)
        return self.prepare(geometry.module(inputs, outputs), images)

    def prepare(self, network: nn.Module, images: Tensor) -> Pass:
        """Return a pass of a network in the runtime."""
        images = images.to(self.image.device)
        return RUNTIMES[self.device.runtime].prepare(network, images, self.device.threads)


def this_device(device: torch.device, runtime: str, threads: int, batch: int) -> Device:
    """Return the device that is measured.

    Raises:
        ImportError: the runtime is not installed.
    """
    return Device(device_name(device), runtime, RUNTIMES[runtime].version, threads, batch)


def device_name(device: torch.device) -> str:
    """Return the name of the GPU or the CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def random_plans(graph: ChannelGraph, n: int, multiple: int, seed: int) -> list[tuple[int, ...]]:
    """Return random counts from a fifth to all of each unit's channels, small, large and mixed."""
    rng = np.random.default_rng(seed)
    plans = []
    for _ in range(n):
        # Each plan first draws its range, because independent units would all average out.
        low, high = np.sort(rng.uniform(LEAST_SHARE, 1, 2))
        counts = []
        for unit in graph.units:
            step = np.lcm(multiple, unit.blocks)
            count = round(rng.uniform(low, high) * unit.channels / step) * step
            counts.append(int(min(unit.channels, max(step, count))))
        plans.append(tuple(counts))
    return plans
