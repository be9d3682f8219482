"""Networks, plans and options that commands take on the command line.

Nothing here needs PyTorch; ``opening`` makes tasks and plans from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import tyro
from tyro.conf import Positional

from amc_gym._utils.options import options_of
from amc_gym.engine.options import EngineOptions
from amc_gym.envs.options import EnvOptions

Ratio = float | Literal["default", "none"]

WORDS: dict[str, Any] = {
    "importance": str,
    "recovery": str,
    "reward": str,
    "resource": str,
    "preserve_ratio": Ratio,
    "max_sparsity": float | None,
    "latency_table": Path | None,
}
"""Command-line types of options that are more than a word in Python."""

NAMED = {
    *("granularity", "importance", "recovery", "metric", "precision", "evaluation"),
    *("resource", "reward", "action_mode", "observation", "runtime"),
}
"""Options whose values are names, which help texts list instead of a type."""


@dataclass(frozen=True)
class Subject:
    """The network and data that a command works on.

    Attributes:
        id: a registered id, see `amc-gym list`, a network of the zoo, such as plain-digits-0, or
            package.module:function that returns an amc_gym.CompressionTask.
        dataset: data set of a registered network: digits, cifar10, imagenette, imagenette96,
            imagenet or folder, see docs/data.md.
        data_root: folder of the data sets that are read from disk; by default $AMC_DATA_ROOT.
        weights: weights of a registered network: bundled, torchvision, random, or the path of a
            checkpoint.
    """

    id: Positional[str]
    dataset: str = "digits"
    data_root: Path | None = None
    weights: str = "bundled"


@dataclass(frozen=True)
class SavedPlan:
    """The plan that a command works on, and its task.

    Attributes:
        plan: the plan's file.
        task: package.module:function that returns the plan's task. A plan that names such a
            function is refused without this option, because a file must not run code.
        data_root: folder of the data sets that are read from disk; by default $AMC_DATA_ROOT.
        weights: file of the network's weights, if it is no longer where it was when the plan was
            made.
    """

    plan: Positional[Path]
    task: str | None = None
    data_root: Path | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class HandedOver(SavedPlan):
    """A plan whose network is handed over.

    Attributes:
        recovery: how the kept weights make up for the pruned ones, such as nonlinear; by default
            as in the search, which had to be quick.
    """

    recovery: str | None = None


def _options() -> type:
    """Return a class of all options of engine and environment, with command-line types."""
    typed = []
    for cls in (EngineOptions, EnvOptions):
        kinds = WORDS | _plain_kinds(cls)
        for option in options_of(cls):
            choices = "|".join(option.names) if option.name in NAMED else None
            argument = tyro.conf.arg(help=option.meaning, metavar=choices)
            annotated = Annotated[kinds[option.name], argument]
            typed.append((option.name, annotated, field(default=option.default)))
    return make_dataclass("Options", typed, frozen=True)


def _plain_kinds(cls: type) -> dict[str, Any]:
    """Return the types of options that are the same on the command line and in Python."""
    annotations = {each.name: each.type for each in fields(cls) if each.name not in WORDS}
    return get_type_hints(SimpleNamespace(__annotations__=annotations))


if TYPE_CHECKING:
    Options = Any
else:
    Options = _options()
