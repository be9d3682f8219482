"""A finished plan, in a file: replayable, verifiable, refused when it was tampered with.

``plan_schema`` says what the file holds.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from amc_gym._utils import documents
from amc_gym._utils.arguments import described
from amc_gym._utils.arguments import path as path_of
from amc_gym._utils.documents import DocumentError
from amc_gym._utils.files import write_json
from amc_gym._utils.names import printable
from amc_gym.compression import channel_ranges
from amc_gym.compression.evaluation.hits import METRICS
from amc_gym.compression.graph import ChannelGraph
from amc_gym.compression.plan_schema import ListedPlanSchema, PlanSchema
from amc_gym.compression.slim import Kept

FORMAT = 2


ACCURACY = "accuracy"
"""Name of the score in the file of a plan whose network classifies."""


class PlanError(ValueError):
    """A plan that cannot be read, or that belongs to another network or other data."""


@dataclass(frozen=True)
class Measured:
    """Measured figures of a small network.

    Attributes:
        score: on the reward images, in [0, 1], by the metric of the plan's options.
        images: how many reward images.
        macs: multiply-accumulate operations of a pass over one image.
        params: learnable parameters; in weight pruning, those that are not zero.
        latency_ns: nanoseconds of a pass, where latency was measured.
        cost: in the budget's resource, where that is none of these.
    """

    score: float
    images: int
    macs: int
    params: int
    latency_ns: int | None = None
    cost: int | None = None

    @property
    def accuracy(self) -> float:
        """The score of a network that classifies."""
        return self.score

    def to_dict(self, score: str = ACCURACY) -> dict[str, float]:
        """Turn into a table for a file, without what was not measured.

        Args:
            score: what the score is called there.
        """
        found = {score if name == "score" else name: value for name, value in asdict(self).items()}
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Measured:
        """Take what ``to_dict`` gave."""
        return cls(**{"score" if name == ACCURACY else name: v for name, v in content.items()})


@dataclass(frozen=True, repr=False)
class CompressionPlan:
    """The outcome of one episode.

    Attributes:
        kept: unit name -> indices of the channels that stay, ascending; empty in weight pruning.
        task: how the task was named: the environment's ``task``, ``dataset`` and ``weights``
            options; ``task`` is ``None`` for tasks built from objects.
        options: the compression options that recovered weights depend on, and the budget.
        fingerprints: sha256 of "model" (structure and weights) and of each "calibration",
            "reward" and "test" split.
        measured: accuracy and size of the slim network.
        versions: of the packages it was found with.
        weights: in weight pruning, layer name -> how many weights stay: those of largest magnitude.

    Raises:
        TypeError: ``measured`` is no ``Measured``.
    """

    kept: dict[str, tuple[int, ...]]
    task: dict[str, str | None]
    options: dict[str, Any]
    fingerprints: dict[str, str]
    measured: Measured
    versions: dict[str, str] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.measured, Measured):
            raise TypeError(
                f"measured must be an amc_gym.Measured, not {described(self.measured)}: "
                "Measured(score, images, macs, params)"
            )

    def __repr__(self) -> str:
        """Return what a notebook shows: one line, not thousands of channels."""
        of = printable(str(self.task.get("task") or "a task of one's own"), 100)
        kept = f"{sum(self.counts):,} {'weights' if self.weights else 'channels'}"
        found = self.measured
        return (
            f"<CompressionPlan of {of}: {kept} of {len(self.counts)} units, {found.macs:,} MACs, "
            f"{found.params:,} parameters, {self.score_name} {found.score:.2%}>"
        )

    def __hash__(self) -> int:
        # Equal tables may differ in their order.
        return hash((frozenset(self.kept.items()), frozenset(self.weights.items())))

    @property
    def counts(self) -> tuple[int, ...]:
        """Kept channels, or weights, of each unit, in order."""
        return tuple(self.weights.values()) or tuple(map(len, self.kept.values()))

    @property
    def score_name(self) -> str:
        """How the score is called: "accuracy" where classes are told apart, or else "score"."""
        return ACCURACY if self.options.get("metric") in METRICS else "score"

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

    def to_dict(self) -> dict[str, Any]:
        """Turn into a table for a file, with its checksum: texts, numbers and tables of them.

        Raises:
            PlanError: the channels of a unit do not ascend or are too many: no file can say them.
        """
        content = {
            "format": FORMAT,
            "task": dict(self.task),
            "options": dict(self.options),
            "fingerprints": dict(self.fingerprints),
            "measured": self.measured.to_dict(self.score_name),
            "versions": dict(self.versions),
            "kept": self._ranges(),
            "weights": dict(self.weights),
        }
        return {"sha256": _sha256(content)} | content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> CompressionPlan:
        """Take what ``to_dict`` gave, or what a file of an earlier format holds.

        Raises:
            PlanError: not a plan, of an unknown format, or changed since it was written.
        """
        try:
            if not isinstance(content, Mapping) or "sha256" not in content:
                raise DocumentError("it has no checksum")
            known = content.get("format")
            if type(known) is not int or known not in (1, FORMAT):
                raise PlanError(f"the plan has another format than 1 or {FORMAT}; update amc-gym")
            checked = documents.check(PlanSchema if known == FORMAT else ListedPlanSchema, content)
        except DocumentError as error:
            raise PlanError(f"not a compression plan: {error}") from error
        content = dict(content)
        if content.pop("sha256") != _sha256(content):
            raise PlanError("the plan does not match its checksum: it was changed or cut short")
        del content["format"]
        content["measured"] = Measured.from_dict(content["measured"])
        if isinstance(checked, PlanSchema):
            kept = {name: chain.from_iterable(ranges) for name, ranges in checked.kept.items()}
        else:
            kept = content["kept"]
        content["kept"] = {name: tuple(channels) for name, channels in kept.items()}
        return cls(**content)

    def to_json(self) -> str:
        """Return the plan as JSON: ``to_dict`` in one line.

        Raises:
            PlanError: as ``to_dict``.
        """
        return _compact(self.to_dict())

    @classmethod
    def from_json(cls, text: str | bytes) -> CompressionPlan:
        """Read a plan's JSON, of this format or an earlier one.

        Raises:
            TypeError: it is no text.
            PlanError: not JSON, or as ``from_dict``.
        """
        if not isinstance(text, str | bytes):
            raise TypeError(f"text must be a plan's JSON, not {described(text)}")
        try:
            content = documents.parse(text)
        except DocumentError as error:
            raise PlanError(f"not a compression plan: {error}") from error
        return cls.from_dict(content)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the plan, one line for each unit; a file is either whole or not there.

        Raises:
            TypeError: it is no path.
            PlanError: as ``to_dict``.
            OSError: it cannot be written.
        """
        return write_json(path_of("path", path), self.to_dict())

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

    def _ranges(self) -> dict[str, str]:
        """Return unit name -> its channels as a file says them."""
        if sum(map(len, self.kept.values())) > channel_ranges.MOST:
            raise PlanError(f"a plan can keep at most {channel_ranges.MOST:,} channels in all")
        kept: dict[str, str] = {}
        for name, channels in self.kept.items():
            try:
                kept[name] = channel_ranges.encode(channels)
            except ValueError as error:
                raise PlanError(f"the channels of unit {printable(name)!r} {error}") from None
        return kept


def _check_units(decided: Iterable[str], graph: ChannelGraph) -> None:
    if list(decided) != [unit.name for unit in graph.units]:
        raise PlanError(
            f"the plan decides units {printable(', '.join(decided), 400)}, but the network has "
            f"{printable(', '.join(unit.name for unit in graph.units), 400)}; "
            "it is a plan of another network"
        )


def _compact(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"))  # in order: that of the units matters


def _sha256(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_compact(content).encode()).hexdigest()
