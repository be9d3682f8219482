"""Latency of a task: by a table from a file, from this machine's cache, or measured now."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import torch

from amc_gym._utils.arguments import whole
from amc_gym._utils.machine import device_of
from amc_gym._utils.names import choose
from amc_gym._utils.paths import cache_root
from amc_gym.compression.latency.blocks import BLOCKS
from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.compression.latency.layers import geometries, widths
from amc_gym.compression.latency.measurement import build
from amc_gym.compression.latency.runtimes import RUNTIMES
from amc_gym.compression.latency.table import LatencyTable
from amc_gym.compression.latency.timing import LatencyError
from amc_gym.compression.latency.workload import Workload, device_name, this_device
from amc_gym.engine.analysis import Analysis
from amc_gym.tasks.task import CompressionTask


def cache_folder() -> Path:
    """Return the folder of the tables that were measured on this machine."""
    return cache_root() / "latency"


def workload_of(
    analysis: Analysis,
    runtime: str = "torch",
    *,
    threads: int = 1,
    batch: int = 1,
    device: str = "auto",
) -> Workload:
    """Return a task's network in a runtime on this machine.

    Args:
        analysis: of the task.
        runtime: "torch", "compile" or "onnx"; the last runs on the CPU.
        threads: threads of the runtime.
        batch: images at a time.
        device: of the torch runtimes.

    Raises:
        ImportError: the runtime is not installed.
        ValueError: the runtime or device is unknown, or ``batch`` is below 1.
    """
    choose("runtime", runtime, RUNTIMES)
    threads = whole("threads", threads, at_least=1)
    batch = whole("batch", batch, at_least=1)
    where, task = _where(runtime, device), analysis.task
    return Workload(
        task.model,
        analysis.graph,
        task.example[:1].to(where),
        this_device(where, runtime, threads, batch),
        task.channel_multiple,
    )


def table_of(
    analysis: Analysis,
    runtime: str,
    path: str | Path | None = None,
    device: str = "auto",
    **options: Any,
) -> LatencyTable:
    """Return the latency table of a task: a given one, this machine's own, or one measured now.

    A measured table is cached: one thread, one image at a time.

    Args:
        analysis: of the task.
        runtime: runtime that is timed.
        path: file of a table; ``None``: the cached or a new one.
        device: of the torch runtimes.
        options: of ``measurement.build``.

    Raises:
        LatencyError: the table belongs to another runtime, device or network, or cannot be
            measured.
        OSError: the file is missing.
        ImportError: the runtime is not installed.
    """
    choose("runtime", runtime, RUNTIMES)
    if path is not None:
        table = LatencyTable.load(Path(path), device_name(_where(runtime, device)))
        if table.device.runtime != runtime:
            raise LatencyError(
                f"{path} was measured with runtime {table.device.runtime!r}, not {runtime!r}: "
                f"pass runtime={table.device.runtime!r}"
            )
        return table
    workload = workload_of(analysis, runtime, device=device)
    cached = cache_folder() / _name(analysis.task, workload)
    if cached.exists():
        return LatencyTable.load(cached, workload.device.name)
    table = build(workload, **options)
    table.save(cached)
    return table


def _where(runtime: str, device: str) -> torch.device:
    return torch.device("cpu") if runtime == "onnx" else device_of(device)


def latency_cost(
    analysis: Analysis, runtime: str, path: str | Path | None, device: str
) -> LatencyCost:
    """Return the latency model of a task, by the table that ``table_of`` returns."""
    table = table_of(analysis, runtime, path, device)
    return LatencyCost(analysis.graph, geometries(analysis.model, analysis.graph), table)


def _name(task: CompressionTask, workload: Workload) -> str:
    """Return the name of a cached table, made of everything that its times depend on."""
    layers = {
        name: (geometry.key, *widths(workload.graph.layers[name]))
        for name, geometry in geometries(workload.model, workload.graph).items()
    }
    key = json.dumps([str(workload.device), layers, BLOCKS], sort_keys=True)
    network = re.sub(r"\W+", "-", str(dict(task.source).get("task") or "network"))
    return f"{network}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"
