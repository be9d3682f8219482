"""Engines of many networks within a memory limit, each with its problems."""

from __future__ import annotations

import gc
import types
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from amc_gym.engine.analysis import Analysis
from amc_gym.engine.engine import Engine
from amc_gym.engine.options import EngineOptions
from amc_gym.envs.problem import Problem
from amc_gym.tasks.samples import Samples
from amc_gym.tasks.split import Split
from amc_gym.tasks.task import CompressionTask

MOST_BYTES = 512 * 2**20
"""Memory limit for the tensors of all engines that are not in use."""

_ELSEWHERE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, Split, Samples)
"""Types that are not counted as an engine's own: code, and images that networks share."""


@dataclass
class _Kept:
    """An engine, its size, and its problems by owner and context."""

    engine: Engine
    bytes: int = 0
    uses: int = 0
    problems: WeakKeyDictionary[Any, dict[str, Problem]] = field(default_factory=WeakKeyDictionary)


class BoundedEngines:
    """Engines by task and options, made when they are asked for.

    Once their total size exceeds ``most_bytes``, the least recently used are dropped.  An engine
    grows with use, because it remembers least-squares solutions, so it is measured again after
    1, 2, 4, 8, ... uses.

    Args:
        most_bytes: limit on the total size of tensors and arrays; the engine used last is always
            kept.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._kept: OrderedDict[tuple[CompressionTask, EngineOptions], _Kept] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Total size of the engines when they were last measured."""
        return sum(kept.bytes for kept in self._kept.values())

    def problem(
        self,
        task: CompressionTask,
        options: EngineOptions,
        owner: object,
        name: str,
        make: Callable[[Engine], Problem],
    ) -> Problem:
        """Return an owner's problem of a given name, on the engine of a task and its options.

        Args:
            task: what is compressed.
            options: of the engine.
            owner: object that the problem belongs to; the problem is dropped with it or its engine.
            name: of the problem.
            make: makes the problem of an engine, where there is none yet.

        Raises:
            ValueError: as ``Engine`` and ``make``.
        """
        key = task, options
        with self._lock:
            kept = self._kept.get(key)
        if kept is None:
            kept = _Kept(Engine(Analysis(task), options))
        problems = kept.problems.setdefault(owner, {})
        if name not in problems:
            problems[name] = make(kept.engine)
        with self._lock:
            kept.uses += 1
            if kept.uses & (kept.uses - 1) == 0:
                kept.bytes = tensor_bytes(kept.engine)
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self.bytes > self.most_bytes:
                self._kept.popitem(last=False)
        return problems[name]


def tensor_bytes(root: object) -> int:
    """Return the bytes of the tensors and arrays that an object holds, each storage once."""
    seen, storages, found = {id(root)}, {}, [root]
    while found:
        each = found.pop()
        if isinstance(each, torch.Tensor):
            storage = each.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        elif isinstance(each, np.ndarray) and each.base is None:
            storages[each.ctypes.data] = each.nbytes
        for other in gc.get_referents(each):
            if id(other) not in seen and not isinstance(other, _ELSEWHERE):
                seen.add(id(other))
                found.append(other)
    return sum(storages.values())


engines = BoundedEngines()
"""The engines of this process."""
