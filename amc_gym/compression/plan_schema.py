"""Schema of a plan's file: names, types and ranges of every entry.

Format 2 is written, and format 1 is still read.  They differ in ``kept``:

| entry                 | holds                                                                    |
|-----------------------|--------------------------------------------------------------------------|
| sha256                | checksum of the rest, as compact JSON in the order of the file           |
| format                | 1 or 2                                                                   |
| kept                  | unit -> its channels: ranges, "0-3,5,8-15"; in format 1 a list of them   |
| weights               | layer -> number of its kept weights, in weight pruning                   |
| task, options         | what was compressed, and the environment's options as resolved           |
| fingerprints          | SHA-256 of the network and of each split                                 |
| measured, versions    | claims about the small network, and the packages that it was found with  |

Whether the claims are true is checked on the network: see ``amc_gym.workflows.validation``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, FailFast, Field, model_validator

from amc_gym._utils.documents import Accuracy, Name, Natural, Positive, Schema, Sha256
from amc_gym._utils.names import choose
from amc_gym._utils.own_code import is_code
from amc_gym.compression.channel_ranges import MOST, decode
from amc_gym.compression.cost import RESOURCES
from amc_gym.compression.recovery import chain
from amc_gym.compression.recovery.chain import is_own

LayerKind = Literal["conv", "linear"]
Sparsity = Annotated[float, Field(ge=0, lt=1)]


def _ascending(channels: list[int]) -> list[int]:
    if any(one >= other for one, other in pairwise(channels)):
        raise ValueError("should ascend")
    return channels


def _recovery(text: str) -> str:
    named = [step for step in text.split("+") if not is_own(step)]
    if named:
        chain("+".join(named))
    return text


def _resource(name: str) -> str:
    if not is_code(name):  # a user's own, of which only the name is known
        choose("resource", name, (*RESOURCES, "latency"))
    return name


def _bounded(kept: dict[str, tuple[range, ...]]) -> dict[str, tuple[range, ...]]:
    if sum(len(one) for ranges in kept.values() for one in ranges) > MOST:
        raise ValueError(f"should keep at most {MOST:,} channels in all")
    return kept


Channels = Annotated[list[Natural], FailFast(), Field(min_length=1), AfterValidator(_ascending)]
Ranges = Annotated[str, AfterValidator(decode)]


class TaskSchema(Schema):
    """The options that name a task; ``task`` is null for one made from objects."""

    task: Name | None
    dataset: Name | None = None
    weights: Name | None = None


class LatencySchema(Schema):
    """The table, runtime and device of a latency."""

    device: Name
    table: Sha256


class OptionsSchema(Schema):
    """The environment's options, with defaults resolved."""

    resource: Annotated[Name, AfterValidator(_resource)]
    preserve_ratio: Annotated[float, Field(gt=0, le=1)] | None
    granularity: Literal["channel", "weight"]
    reward: Name
    action_mode: Name
    importance: Name
    recovery: Annotated[Name, AfterValidator(_recovery)]
    metric: Name
    max_sparsity: Sparsity | dict[LayerKind, Sparsity]
    channel_multiple: Positive
    reward_images: Positive
    precision: Name
    observation: Name | None = None
    context: Name | None = None
    latency: LatencySchema | None = None


class MeasuredSchema(Schema):
    """Claimed figures of the small network; its score is one of the first two."""

    accuracy: Accuracy | None = None
    score: Accuracy | None = None
    images: Positive
    macs: Positive
    params: Positive
    latency_ns: Positive | None = None
    cost: Natural | None = None

    @model_validator(mode="after")
    def _scored(self) -> MeasuredSchema:
        if (self.accuracy is None) == (self.score is None):
            raise ValueError("should hold a score, or the accuracy of a classifier")
        return self


class FingerprintsSchema(Schema):
    """SHA-256 of the network and of each split; for a user's network also of its outputs."""

    model: Sha256
    calibration: Sha256
    reward: Sha256
    test: Sha256
    logits: Sha256 | None = None
    outputs: Sha256 | None = None


class _Common(Schema):
    """Fields of both formats; newer ones have defaults, so that older plans remain valid."""

    sha256: Sha256
    task: TaskSchema
    options: OptionsSchema
    fingerprints: FingerprintsSchema
    measured: MeasuredSchema
    versions: dict[Name, Name] = Field(default_factory=dict)
    weights: dict[Name, Positive] = Field(default_factory=dict)


class ListedPlanSchema(_Common):
    """The whole file in format 1: channels one by one."""

    format: Literal[1]
    kept: dict[Name, Channels]


class PlanSchema(_Common):
    """The whole file in format 2: ranges of channels, small enough to be listed."""

    format: Literal[2]
    kept: Annotated[dict[Name, Ranges], AfterValidator(_bounded)]
