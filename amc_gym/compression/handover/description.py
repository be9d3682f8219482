"""Schema of the description beside a safetensors file."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, FailFast, Field

from amc_gym._utils.documents import Accuracy, Name, Natural, Positive, Schema, Sha256

MOST_CLASSES = 2**16
"""Most classes of a network that is built from a file's description."""

MOST_VALUES = 2**26
"""Most values of an image that a network from a file is tried on."""


def _imaginable(shape: list[int]) -> list[int]:
    if math.prod(shape) > MOST_VALUES:
        raise ValueError(f"should have at most {MOST_VALUES:,} values")
    return shape


Shape = Annotated[list[Natural], FailFast(), Field(max_length=8)]
ModuleName = Annotated[str, Field(max_length=500)]
"""Name of a module; the network itself has the empty name."""


class LayerSchema(Schema):
    """Attributes that depend on channel counts, and the shape of each tensor."""

    sizes: dict[Name, Positive]
    tensors: dict[Name, Shape]


class WeightsSchema(Schema):
    """The file that is described."""

    file: Name
    sha256: Sha256


class OriginalSchema(Schema):
    """The compressed task; ``task`` is null if it has no name."""

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
    """A description file; an export without a task leaves out the fields about it.

    There is no ``input_shape`` if the inputs are several tensors.
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
