"""Finished plans and their files, which can be replayed and verified and reject tampering.

See ``plan_schema`` for the contents of the file.
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
"""Name of the score in the plan of a classifier."""


class PlanError(ValueError):
    """Raised for plans that cannot be read, or that belong to another network or other data."""


@dataclass(frozen=True)
class Measured:
    """Measured figures of a small network.

    Attributes:
        score: on the reward images, in [0, 1], by the metric in the plan's options.
        images: number of reward images.
        macs: multiply-accumulate operations for one image.
        params: learnable parameters; in weight pruning the non-zero ones.
        latency_ns: nanoseconds for one image, if latency was measured.
        cost: in the budget's resource, if that is none of the above.
    """

    score: float
    images: int
    macs: int
    params: int
    latency_ns: int | None = None
    cost: int | None = None

    @property
    def accuracy(self) -> float:
        """The score of a classifier."""
        return self.score

    def to_dict(self, score: str = ACCURACY) -> dict[str, float]:
        """Return the figures as a dictionary for a file, without those that were not measured.

        Args:
            score: name of the score in the dictionary.
        """
        found = {score if name == "score" else name: value for name, value in asdict(self).items()}
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Measured:
        """Make the figures from the result of ``to_dict``."""
        return cls(**{"score" if name == ACCURACY else name: v for name, v in content.items()})


@dataclass(frozen=True, repr=False)
class CompressionPlan:
    """The result of one episode: what each unit keeps, and what that was measured to be.

    Attributes:
        kept: unit name -> indices of the kept channels, ascending; empty in weight pruning.
        task: how the task was named: the environment's ``task``, ``dataset`` and ``weights``
            options; ``task`` is ``None`` for tasks given as objects.
        options: the compression options that recovered weights depend on, and the budget.
        fingerprints: sha256 of "model" (structure and weights) and of each "calibration",
            "reward" and "test" split.
        measured: score and size of the slim network.
        versions: of the packages that it was found with.
        weights: in weight pruning, layer name -> number of kept weights, the largest ones.

    Raises:
        TypeError: ``measured`` is not a ``Measured``.
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
        """Return a one-line summary instead of thousands of channels."""
        of = printable(str(self.task.get("task") or "a task of your own"), 100)
        kept = f"{sum(self.counts):,} {'weights' if self.weights else 'channels'}"
        found = self.measured
        return (
            f"<CompressionPlan of {of}: {kept} of {len(self.counts)} units, {found.macs:,} MACs, "
            f"{found.params:,} parameters, {self.score_name} {found.score:.2%}>"
        )

    def __hash__(self) -> int:
        # Equal dictionaries may differ in their order.
        return hash((frozenset(self.kept.items()), frozenset(self.weights.items())))

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of kept channels, or weights, of each unit, in order."""
        return tuple(self.weights.values()) or tuple(map(len, self.kept.values()))

    @property
    def score_name(self) -> str:
        """Name of the score: "accuracy" for a classifier, otherwise "score"."""
        return ACCURACY if self.options.get("metric") in METRICS else "score"

    def kept_channels(self, graph: ChannelGraph) -> Kept:
        """Return the kept channels of each unit of ``graph``.

        Raises:
            PlanError: the plan's units or channels are not those of the graph.
        """
        if self.weights:
            raise PlanError("this is a plan of weight pruning, and channels are needed")
        _check_units(self.kept, graph)
        for unit in graph.units:
            channels = self.kept[unit.name]
            if not all(type(channel) is int for channel in channels):
                raise PlanError(f"the channels of unit {unit.name!r} are not whole numbers")
            if not channels or min(channels) < 0 or max(channels) >= unit.channels:
                raise PlanError(
                    f"the plan keeps channels of unit {unit.name!r} outside 0..{unit.channels - 1}"
                )
            if any(one >= other for one, other in pairwise(channels)):
                raise PlanError(f"the channels of unit {unit.name!r} do not ascend")
        return tuple(np.array(channels, dtype=np.int64) for channels in self.kept.values())

    def kept_weights(self, graph: ChannelGraph) -> dict[str, int]:
        """Return the number of weights that each layer keeps, for a ``weight_graph``.

        Raises:
            PlanError: the plan's layers or counts are not those of the graph.
        """
        if self.kept:
            raise PlanError("this is a plan of channel pruning, and weights are needed")
        _check_units(self.weights, graph)
        for unit in graph.units:
            count = self.weights[unit.name]
            if type(count) is not int or not 0 < count <= unit.channels:
                raise PlanError(
                    f"the plan keeps {count} weights of layer {unit.name!r}, "
                    f"which has only {unit.channels} that are not zero"
                )
        return self.weights

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a dictionary for a file, with its checksum.

        Raises:
            PlanError: the channels of a unit do not ascend or are too many for a file.
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
        """Make a plan from the result of ``to_dict``, or from an earlier format.

        Raises:
            PlanError: it is not a plan, has an unknown format, or was changed since it was written.
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
            TypeError: ``text`` is not text.
            PlanError: it is not JSON, or as ``from_dict``.
        """
        if not isinstance(text, str | bytes):
            raise TypeError(f"text must be a plan's JSON, not {described(text)}")
        try:
            content = documents.parse(text)
        except DocumentError as error:
            raise PlanError(f"not a compression plan: {error}") from error
        return cls.from_dict(content)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the plan to a file, completely or not at all, with one line for each unit.

        Raises:
            TypeError: ``path`` is not a path.
            PlanError: as ``to_dict``.
            OSError: it cannot be written.
        """
        return write_json(path_of("path", path), self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CompressionPlan:
        """Read a saved plan.

        Raises:
            TypeError: ``path`` is not a path.
            PlanError: the plan cannot be read; the message names the file and the reason.
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
        """Return unit name -> its channels as text for a file."""
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
    return json.dumps(content, separators=(",", ":"))  # not sorted: the order of the units matters


def _sha256(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_compact(content).encode()).hexdigest()
