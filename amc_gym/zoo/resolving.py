"""Tasks by name: a registered network, "package.module:function", or a task itself."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from amc_gym._utils.arguments import described, path, shown
from amc_gym._utils.grad_mode import recorded
from amc_gym._utils.names import nearest
from amc_gym._utils.own_code import failing_as_one
from amc_gym.tasks.task import CompressionTask
from amc_gym.zoo import bundled, datasets, models, small
from amc_gym.zoo.pretrained import NAMED, pretrained

TaskLike = str | Callable[[], CompressionTask] | CompressionTask
"""A network's name, registered or small, "package.module:function", such a function, or a task."""


@dataclass(frozen=True)
class TaskOptions:
    """Data and weights of a registered network."""

    dataset: str = "digits"
    """data of a registered network: "digits", "cifar10", "imagenet", "folder"; see docs/data.md"""

    data_root: str | Path | None = None
    """folder of data sets that are read from disk; None: $AMC_DATA_ROOT"""

    weights: str | Path = "bundled"
    """weights of a registered network: "bundled", "torchvision", "random", or a path"""


NONE_GIVEN = TaskOptions()
"""Default options, which other tasks than registered networks may also have."""


@recorded
def resolve(
    task: TaskLike,
    *,
    dataset: str = NONE_GIVEN.dataset,
    data_root: str | Path | None = NONE_GIVEN.data_root,
    weights: str | Path = NONE_GIVEN.weights,
) -> CompressionTask:
    """Return the task that the options name; the same object for the same options.

    Args:
        task: see ``TaskLike``.  The other arguments only apply to a network's name.
        dataset: "digits", "cifar10", "imagenet" or "folder", see ``datasets.load``.
        data_root: folder of data sets that are read from disk.
        weights: "bundled", "torchvision", "random", or a path, see ``pretrained``.

    Raises:
        ValueError: an option is unknown or does not apply.
        OSError: weights or data are missing or damaged.
    """
    if isinstance(task, str) and ":" not in task:
        if task not in models.NETWORKS and task in small.cards():
            _check_own(task, dataset, str(path("weights", weights)))
            return _small_task(str(task))
        name = datasets.name_of(dataset)
        _check_known(task)
        models.variant(task, name)
        origin = str(path("weights", weights))
        if origin == "bundled":
            bundled.find(task, name)  # fails before a folder is asked for in vain
        elif origin not in NAMED:
            origin = os.path.abspath(origin)  # plans hold the path and are read in other folders
        root = datasets.find_root(dataset, data_root)
        return _network_task(str(task), str(dataset), root, origin)
    given = {"dataset": dataset, "data_root": data_root, "weights": weights}
    for option, value in given.items():
        if not (isinstance(value, str | None) and value == getattr(NONE_GIVEN, option)):
            raise ValueError(
                f"{option} is {shown(value)}, but dataset, data_root and weights are only for "
                "registered networks: leave it out, a task of your own has its own data and weights"
            )
    if isinstance(task, str):
        return _imported(str(task))
    if isinstance(task, CompressionTask):
        return task
    if isinstance(task, nn.Module) or not callable(task):
        fix = ""
        if isinstance(task, nn.Module):
            fix = ": make a task of it, CompressionTask(model, calibration, reward, test)"
        raise ValueError(
            "task must be a network's name, 'package.module:function', a function without "
            f"arguments, or a CompressionTask, not {type(task).__name__}{fix}"
        )
    try:
        return _called(task)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        raise ValueError(f"task {shown(task)} must be hashable: pass a function instead") from error


@lru_cache(maxsize=16)
def _network_task(
    network: str, dataset: str, data_root: Path | None, weights: str
) -> CompressionTask:
    name = datasets.name_of(dataset)
    variant = models.variant(network, name)
    model = pretrained(network, name, weights, lambda: datasets.load(dataset, data_root).classes)
    splits = datasets.load(dataset, data_root)
    return CompressionTask(
        model,
        splits.calibration,
        splits.reward,
        splits.test,
        preserve_ratio=variant.preserve_ratio,
        channel_multiple=variant.channel_multiple,
        source=(("task", network), ("dataset", dataset), ("weights", weights)),
    )


def _check_known(network: str) -> None:
    """Refuse a misspelt name of a small network; other names are refused where they are looked up.

    Raises:
        ValueError: the nearest name is that of a small network.
    """
    if network in models.NETWORKS:
        return
    if nearest(network, [*models.NETWORKS, *small.cards()]) in small.cards():
        small.card(network)


def _check_own(network: str, dataset: str, weights: str) -> None:
    """Refuse data and weights other than a small network's own.

    Raises:
        ValueError: they are not its own.
    """
    own = small.card(network).dataset
    known = (NONE_GIVEN.dataset, own, own.partition("?")[0])
    if dataset not in known or weights != NONE_GIVEN.weights:
        raise ValueError(
            f"{network} has weights for {own!r} only: leave out dataset={shown(dataset)} and "
            f"weights={shown(weights)}"
        )


@lru_cache(maxsize=128)  # small tasks, of which suites have many
def _small_task(network: str) -> CompressionTask:
    card = small.card(network)
    splits = datasets.load(card.dataset)
    return CompressionTask(
        small.load(network),
        splits.calibration,
        splits.reward,
        splits.test,
        preserve_ratio=card.preserve_ratio,
        source=(("task", network), ("dataset", card.dataset), ("weights", "bundled")),
    )


@lru_cache(maxsize=16)
def _imported(task: str) -> CompressionTask:
    module, _, function = task.partition(":")
    if not module or module.startswith(".") or not function:
        raise ValueError(f"task {shown(task)} must be 'package.module:function'")
    with failing_as_one(f"task {shown(task)}"):
        try:
            made = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"task {shown(task)} cannot be imported: {error}") from error
        return _checked(made, source=(("task", task),))


@lru_cache(maxsize=16)
def _called(function: Callable[[], CompressionTask]) -> CompressionTask:
    return _checked(function)


def _checked(
    function: Callable[[], CompressionTask] | CompressionTask,
    source: tuple[tuple[str, str | None], ...] = (("task", None),),
) -> CompressionTask:
    task = function if isinstance(function, CompressionTask) else _made(function)
    if not isinstance(task, CompressionTask):
        raise ValueError(
            f"task {shown(function)} returned {type(task).__name__}, not a CompressionTask"
        )
    # The function may keep its task, and other functions may return the same task.
    return task if task.source == source else replace(task, source=source)


def _made(function: Any) -> Any:
    """Call a user's function; errors that it raises itself are passed on."""
    if not callable(function) or isinstance(function, nn.Module):
        raise ValueError(f"task names {described(function)}, not a function without arguments")
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise ValueError(
            f"task {shown(function)} must be a function without arguments ({error}): wrap it, "
            "lambda: function(...)"
        ) from None
    except ValueError:
        pass  # a built-in function without a signature
    try:
        return function()
    except SystemExit as error:
        raise ValueError(f"task {shown(function)} ended the program: exit {error}") from error
