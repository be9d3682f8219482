"""A function's latest results, and a way to put in one that another process made."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import update_wrapper
from threading import Lock
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

LATEST = 16


class Remembered(Generic[P, R]):
    """A function of hashable arguments that keeps its ``LATEST`` results, as ``lru_cache`` does.

    Used as a decorator.  Unlike ``lru_cache`` it can be told a result.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        update_wrapper(self, function)
        self._function = function
        self._results: OrderedDict[tuple[Any, ...], R] = OrderedDict()
        self._lock = Lock()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        assert not kwargs, "results are remembered by position"
        with self._lock:
            if args in self._results:
                self._results.move_to_end(args)
                return self._results[args]
        result = self._function(*args, **kwargs)  # it may ask for other results
        self._keep(args, result)
        return result

    def put(self, result: R, *args: P.args, **kwargs: P.kwargs) -> None:
        """Remember ``result`` for these arguments, as if it had just been computed."""
        assert not kwargs, "results are remembered by position"
        self._keep(args, result)

    def forget(self) -> None:
        """Forget every result."""
        with self._lock:
            self._results.clear()

    def _keep(self, args: tuple[Any, ...], result: R) -> None:
        with self._lock:
            self._results[args] = result
            self._results.move_to_end(args)
            while len(self._results) > LATEST:
                self._results.popitem(last=False)

    def __reduce__(self) -> str:
        return self._function.__qualname__  # by name, as functions are: results stay where they are
