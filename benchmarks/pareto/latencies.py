"""End-to-end times of plans' networks and the original, measured in turns, in a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

import amc_gym
from amc_gym import CompressionPlan, CompressionTask
from amc_gym._utils.files import write_json
from amc_gym.compression.latency.pinning import pinned
from amc_gym.compression.latency.timing import measure
from amc_gym.engine.cache import engines
from amc_gym.engine.latency import workload_of

FULL = "full"


@dataclass(frozen=True)
class Latency:
    """Latency of one network.

    Attributes:
        ms: median over rounds.
        low: lower quartile.
        high: upper quartile.
        faster: speed-up over the original, median of the rounds' ratios.
        faster_low: lower quartile of these ratios.
        faster_high: upper quartile.
    """

    ms: float
    low: float
    high: float
    faster: float
    faster_low: float
    faster_high: float


def name_of(plan: CompressionPlan) -> str:
    """Return a plan's name, made from what it keeps: equal networks have equal names."""
    return hashlib.sha256(json.dumps(plan.counts).encode()).hexdigest()[:12]


def measured(
    task: CompressionTask,
    plans: Mapping[str, CompressionPlan],
    path: Path,
    *,
    runtime: str,
    threads: int,
    rounds: int,
    noisiest: float,
    console: Console,
) -> dict[str, Latency]:
    """Return times of every plan's network and of the original, ``FULL``.

    They are comparable because they are measured in turns, so a new plan means timing all of them
    again; if the file already holds all plans, nothing is measured.

    Args:
        task: task of the network.
        plans: ``name_of`` -> plan.
        path: of the file.
        runtime: a name in ``RUNTIMES``.
        threads: threads of the runtime.
        rounds: number of timings of each network.
        noisiest: accepted spread, see ``measure``.
        console: console that shows progress.

    Raises:
        LatencyError: this machine is too noisy to measure.
    """
    workload = workload_of(engines.analysis(task), runtime, threads=threads)
    key = f"{workload.device}, {rounds} rounds"
    if path.exists():
        found, device = timed_networks(path)
        if device == key and set(found) == {FULL, *plans}:
            return found
    with pinned(threads):
        passes = {FULL: workload.prepare(task.model, workload.images)}
        for name, plan in track(plans.items(), "preparing networks", console=console):
            network = amc_gym.compress(task, plan, recovery="none")
            passes[name] = workload.prepare(network, workload.images)
        timings = measure(passes, rounds=rounds, noisiest=noisiest)
    found = {}
    for name, timing in timings.items():
        low, high = timing.quartiles
        ratios = timings[FULL].ratio(timing)
        found[name] = Latency(timing.median / 1e6, low / 1e6, high / 1e6, *ratios)
    content = {"device": key, "networks": {name: asdict(each) for name, each in found.items()}}
    write_json(path, content)
    return found


def timed_networks(path: Path) -> tuple[dict[str, Latency], str]:
    """Return the times that a file of ``measured`` holds, and what they were taken on."""
    content = json.loads(path.read_text(encoding="utf-8"))
    found = {name: Latency(**each) for name, each in content["networks"].items()}
    return found, content["device"]
