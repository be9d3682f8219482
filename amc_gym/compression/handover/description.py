"""Schema of the description beside a safetensors file."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, FailFast, Field

from amc_gym._utils.documents import Accuracy, Name, Natural, Positive, Schema, Sha256

MOST_CLASSES = 2**16
"""Classes of a network that is built because a file says so."""

MOST_VALUES = 2**26
"""Values of an image that a network is tried on because a file says so."""


def _imaginable(shape: list[int]) -> list[int]:
    if math.prod(shape) > MOST_VALUES:
        raise ValueError(f"should have {MOST_VALUES:,} values at most")
    return shape


Shape = Annotated[list[Natural], FailFast(), Field(max_length=8)]
ModuleName = Annotated[str, Field(max_length=500)]
"""The network itself has the empty name."""


class LayerSchema(Schema):
    """Attributes that follow the channels, and the shape of each tensor."""

    sizes: dict[Name, Positive]
    tensors: dict[Name, Shape]


class WeightsSchema(Schema):
    """Which file it describes."""

    file: Name
    sha256: Sha256


class OriginalSchema(Schema):
    """The compressed task; ``task`` is null where it cannot be named."""

    task: Name | None
    dataset: Name | None = None
    classes: Annotated[int, Field(ge=1, le=MOST_CLASSES)] | None = None
    left_out: Annotated[list[Name], Field(max_length=1000)] = Field(default_factory=list)


class RewardSchema(Schema):
    """Accuracy on the reward images, or another score on other samples."""

    top1: Accuracy | None = None
    score: Accuracy | None = None
    images: Positive


class DescriptionSchema(Schema):
    """The whole file; whoever exports without a task leaves out what is said of it.

    There is no ``input_shape`` where inputs are more than one tensor.
    """

    format: Literal[1]
    input_shape: (
        Annotated[list[Positive], Field(min_length=1, max_length=6), AfterValidator(_imaginable)]
        | None
    ) = None
    weights: WeightsSchema
    layers: dict[ModuleName, LayerSchema]
    original: OriginalSchema | None = None
    reward: RewardSchema | None = None
    versions: dict[Name, Name] = Field(default_factory=dict)
