"""What was decided, in a file: replayable, verifiable, refused when it was tampered with."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from amc_gym._utils import documents
from amc_gym._utils.arguments import described
from amc_gym._utils.arguments import path as path_of
from amc_gym._utils.documents import DocumentError
from amc_gym._utils.files import write_json
from amc_gym._utils.names import printable
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.plan_schema import PlanSchema
from amc_gym.compression.slim import Kept

FORMAT = 1


class PlanError(ValueError):
    """A plan that cannot be read, or that belongs to another network or other data."""


@dataclass(frozen=True)
class CompressionPlan:
    """The outcome of one episode.

    Attributes:
        kept: unit name -> indices of the channels that stay, ascending; empty in weight pruning.
        task: how the task was named: the environment's ``task``, ``dataset`` and ``weights``
            options; ``task`` is ``None`` for tasks built from objects.
        options: the compression options that recovered weights depend on, and the budget.
        fingerprints: sha256 of "model" (structure and weights) and of each "calibration",
            "reward" and "test" split.
        measured: "accuracy" on "images" reward images, "macs", "params" of the slim network.
        versions: of the packages it was found with.
        weights: in weight pruning, layer name -> how many weights stay: those of largest magnitude.
    """

    kept: dict[str, tuple[int, ...]]
    task: dict[str, str | None]
    options: dict[str, Any]
    fingerprints: dict[str, str]
    measured: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> tuple[int, ...]:
        """Kept channels, or weights, of each unit, in order."""
        return tuple(self.weights.values()) or tuple(map(len, self.kept.values()))

    def kept_channels(self, graph: ChannelGraph) -> Kept:
        """Kept channels of each unit of ``graph``.

        Raises:
            PlanError: the plan's units or channels are not those of the graph.
        """
        if self.weights:
            raise PlanError("the plan keeps single weights where it should keep channels")
        _check_units(self.kept, graph)
        for unit in graph.units:
            channels = self.kept[unit.name]
            if not all(type(channel) is int for channel in channels):
                raise PlanError(f"the channels of unit {unit.name!r} are no whole numbers")
            if not channels or min(channels) < 0 or max(channels) >= unit.channels:
                raise PlanError(
                    f"the plan keeps channels of unit {unit.name!r} outside 0..{unit.channels - 1}"
                )
            if any(one >= other for one, other in pairwise(channels)):
                raise PlanError(f"the channels of unit {unit.name!r} do not ascend")
        return tuple(np.array(channels, dtype=np.int64) for channels in self.kept.values())

    def kept_weights(self, graph: ChannelGraph) -> dict[str, int]:
        """Weights that each layer keeps, of a ``weight_graph``.

        Raises:
            PlanError: the plan's layers or counts are not those of the graph.
        """
        if self.kept:
            raise PlanError("the plan keeps channels where it should keep single weights")
        _check_units(self.weights, graph)
        for unit in graph.units:
            count = self.weights[unit.name]
            if type(count) is not int or not 0 < count <= unit.channels:
                raise PlanError(
                    f"the plan keeps {count} weights of layer {unit.name!r}, "
                    f"which has {unit.channels} that are not zero"
                )
        return self.weights

    def to_json(self) -> str:
        """The plan as a JSON object with a checksum of its own."""
        # Once per episode: no deep copies, and one pass of the encoder.
        canonical = _canonical({name: getattr(self, name) for name in _FIELDS} | {"format": FORMAT})
        return f'{{"sha256":"{_sha256(canonical)}",{canonical[1:]}'

    @classmethod
    def from_json(cls, text: str | bytes) -> CompressionPlan:
        """Read what ``to_json`` wrote.

        Raises:
            TypeError: it is no text.
            PlanError: not JSON, not a plan, of another format, or changed since it was written.
        """
        if not isinstance(text, str | bytes):
            raise TypeError(f"text must be a plan's JSON, not {described(text)}")
        try:
            content = documents.parse(text)
            if not isinstance(content, Mapping) or "sha256" not in content:
                raise DocumentError("it has no checksum")
            if content.get("format") != FORMAT or content["format"] is True:
                raise PlanError(f"the plan has another format than {FORMAT}; update amc-gym")
            documents.check(PlanSchema, content)
        except DocumentError as error:
            raise PlanError(f"not a compression plan: {error}") from error
        content = dict(content)
        if content.pop("sha256") != _sha256(_canonical(content)):
            raise PlanError("the plan does not match its checksum: it was changed or cut short")
        del content["format"]
        content["kept"] = {name: tuple(channels) for name, channels in content["kept"].items()}
        return cls(**content)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the plan; a file is either whole or not there."""
        return write_json(path_of("path", path), json.loads(self.to_json()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CompressionPlan:
        """Read a saved plan.

        Raises:
            TypeError: it is no path.
            PlanError: naming the file and what is wrong with it.
        """
        try:
            text = documents.read_text(path_of("path", path))
        except (OSError, ValueError) as error:
            raise PlanError(f"cannot read the plan {path}: {error}") from error
        try:
            return cls.from_json(text)
        except PlanError as error:
            raise PlanError(f"{path}: {error}") from error


def _check_units(decided: Iterable[str], graph: ChannelGraph) -> None:
    if list(decided) != [unit.name for unit in graph.units]:
        raise PlanError(
            f"the plan decides units {printable(', '.join(decided), 400)}, but the network has "
            f"{printable(', '.join(unit.name for unit in graph.units), 400)}; "
            "it is a plan of another network"
        )


_FIELDS = tuple(field.name for field in fields(CompressionPlan))


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"))  # in order: that of the units matters


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
