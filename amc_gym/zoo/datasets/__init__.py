"""Labelled images as tensors, in disjoint splits."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from amc_gym._utils.arguments import path, shown
from amc_gym._utils.discovery import import_modules
from amc_gym._utils.names import choose
from amc_gym.tasks.split import Split, Splits
from amc_gym.zoo.datasets.cifar10 import cifar10
from amc_gym.zoo.datasets.digits import digits
from amc_gym.zoo.datasets.registry import DATASETS, register

__all__ = [
    "DATASETS",
    "Split",
    "Splits",
    "cifar10",
    "digits",
    "find_root",
    "load",
    "name_of",
    "register",
]

import_modules(__name__)

DATA_ROOT = "AMC_DATA_ROOT"
"""Environment variable with the folder of data sets, used if no folder is given."""

TRUTH = {"yes": True, "no": False}
LONGEST_NUMBER = 9


def load(dataset: str, data_root: str | Path | None = None) -> Splits:
    """Return the splits of a data set, loaded once per process.

    Args:
        dataset: a name in ``DATASETS``, possibly with options of its function as in a URL:
            "folder?size=64&unreadable=skip", "cifar10?download=yes".
        data_root: folder of the data sets that are read from disk; None: see ``find_root``.

    Raises:
        TypeError: ``dataset`` is not a string, or ``data_root`` not a path.
        ValueError: a name or an option is unknown or out of range, or no folder is given.
        OSError: the data are missing or damaged.
    """
    return _load(dataset, find_root(dataset, data_root))


def name_of(dataset: str) -> str:
    """Return the name of a data set without its options.

    Raises:
        ValueError: it is unknown.
    """
    name = dataset.partition("?")[0] if isinstance(dataset, str) else dataset
    return choose("dataset", name, DATASETS)


def find_root(dataset: str, data_root: str | Path | None) -> Path | None:
    """Return the folder a data set is read from: the given one, or else $AMC_DATA_ROOT.

    Returns:
        The folder, or None for a data set that needs none.

    Raises:
        ValueError: the data set is unknown, or no folder is given.
        OSError: the folder does not exist.
    """
    name = name_of(dataset)
    if data_root is not None:
        path("data_root", data_root)
    if "root" not in inspect.signature(DATASETS[name]).parameters:
        return None
    named = data_root if data_root is not None else os.environ.get(DATA_ROOT)
    if named is None or named == "":
        raise ValueError(
            f"dataset {name!r} is read from disk: give its folder with data_root=..., or in the "
            f"environment variable {DATA_ROOT}"
        )
    try:
        root = path("data_root", named).expanduser().resolve()
    except RuntimeError as error:  # the user has no home folder
        raise ValueError(f"data_root {named} names no folder: {error}") from error
    if not root.is_dir():
        raise OSError(f"data_root {root} is not a folder")
    return root


@lru_cache(maxsize=8)
def _load(dataset: str, root: Path | None) -> Splits:
    name, _, query = dataset.partition("?")
    function = DATASETS[name]
    options = _options(name, query, function)
    return function(**options) if root is None else function(root, **options)


def _options(name: str, query: str, function: Callable[..., Splits]) -> dict[str, Any]:
    """Return the options after a data set's name, converted to its function's types."""
    parameters = inspect.signature(function, eval_str=True).parameters
    known = [option for option in parameters if option != "root"]
    options: dict[str, Any] = {}
    for option, value in parse_qsl(query, keep_blank_values=True):
        choose(f"option of {name}", option, known)
        if option in options:
            raise ValueError(f"option {option} of {name} is given twice: give it once")
        default = parameters[option].default
        if isinstance(default, bool):
            options[option] = TRUTH[choose(f"{option} of {name}", value, TRUTH)]
        elif isinstance(default, str):
            options[option] = value
        elif not value.isdecimal():
            raise ValueError(
                f"option {option} of {name} must be a whole number, not {shown(value)}"
            )
        elif len(value) > LONGEST_NUMBER:
            raise ValueError(
                f"option {option} of {name} must have at most {LONGEST_NUMBER} digits, "
                f"not {shown(value)}"
            )
        else:
            options[option] = int(value)
    return options
