"""The cache of engines that the environments of one process share, with a limit on its size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from threading import Lock
from typing import TypeVar, cast

from amc_gym.compression.latency.cost import LatencyCost
from amc_gym.engine.analysis import Analysis
from amc_gym.engine.engine import Engine
from amc_gym.engine.latency import latency_cost
from amc_gym.engine.options import EngineOptions
from amc_gym.tasks.task import CompressionTask

LATEST = 16
"""Number of analyses, of engines and of latencies that are cached."""

T = TypeVar("T")


class EngineCache:
    """A cache of the latest analyses, engines and latencies of tasks.

    Args:
        latest: how many of each are kept; the least recently used is dropped first.
    """

    def __init__(self, latest: int = LATEST) -> None:
        self._latest = latest
        self._kept: dict[str, OrderedDict[Hashable, object]] = {}
        self._lock = Lock()

    def analysis(self, task: CompressionTask) -> Analysis:
        """Return the analysis of a task: one object for equal tasks."""
        return self._get("analysis", task, lambda: Analysis(task))

    def engine(self, task: CompressionTask, options: EngineOptions) -> Engine:
        """Return the engine of a task and options: one object for equal ones."""
        return self._get("engine", (task, options), lambda: Engine(self.analysis(task), options))

    def latency(
        self, task: CompressionTask, runtime: str, table: str | Path | None, device: str
    ) -> LatencyCost:
        """Return the latency model of a task, see ``latency_cost``."""
        key = task, runtime, table, device
        return self._get(
            "latency", key, lambda: latency_cost(self.analysis(task), runtime, table, device)
        )

    def adopt(self, engine: Engine) -> None:
        """Cache an engine and its analysis that were made elsewhere."""
        self._put("analysis", engine.task, engine.analysis)
        self._put("engine", (engine.task, engine.options), engine)

    def clear(self) -> None:
        """Empty the cache; environments keep their engines."""
        with self._lock:
            self._kept.clear()

    def _get(self, kind: str, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            kept = self._kept.setdefault(kind, OrderedDict())
            if key in kept:
                kept.move_to_end(key)
                return cast(T, kept[key])
        made = make()  # it may use the cache itself
        self._put(kind, key, made)
        return made

    def _put(self, kind: str, key: Hashable, made: object) -> None:
        with self._lock:
            kept = self._kept.setdefault(kind, OrderedDict())
            kept[key] = made
            kept.move_to_end(key)
            while len(kept) > self._latest:
                kept.popitem(last=False)


engines = EngineCache()
"""The cache of this process."""
