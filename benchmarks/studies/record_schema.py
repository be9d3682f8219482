"""Schema of a run's file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import FailFast, Field, JsonValue, model_validator

from amc_gym._utils.documents import (
    Accuracy,
    Name,
    Natural,
    Positive,
    Schema,
    Seconds,
    Sha256,
    Share,
)
from amc_gym.compression.plan_schema import OptionsSchema

Reals = Annotated[list[float], FailFast()]
Accuracies = Annotated[list[Accuracy], FailFast()]
Numbers = Annotated[list[Natural], FailFast()]
Rows = Annotated[list[Numbers], FailFast()]


class SettingSchema(Schema):
    """A ``Setting`` in a file; a journal may not know its budget yet."""

    env: Name
    task: Sha256
    options: OptionsSchema
    episodes: Natural
    kwargs: dict[Name, JsonValue] = Field(default_factory=dict)
    source: dict[Name, Name | None] = Field(default_factory=dict)


class HeadSchema(Schema):
    """The identity of a run; older files lack code and arguments."""

    agent: Name
    seed: Natural
    setting: SettingSchema
    code: Name | None = None
    arguments: dict[Name, JsonValue] = Field(default_factory=dict)


class HistorySchema(Schema):
    """A ``History`` in a file: columns of equal length; archives have no channels."""

    reward: Reals
    accuracy: Accuracies
    macs: Numbers
    params: Numbers
    channels: Rows
    seconds: Annotated[list[Seconds], FailFast()]
    evaluation: Annotated[list[Positive], FailFast()] = Field(default_factory=list)

    @model_validator(mode="after")
    def _as_long(self) -> HistorySchema:
        columns = [self.reward, self.accuracy, self.macs, self.params, self.seconds]
        columns += [column for column in (self.channels, self.evaluation) if column]
        if not self.reward or any(len(column) != len(self.reward) for column in columns):
            raise ValueError("should have one value of each kind for each episode")
        return self


class BestSchema(Schema):
    """The best plan in a file; the plan has a schema of its own."""

    reward: float
    reward_accuracy: Accuracy
    test_accuracy: Accuracy
    macs_ratio: Share
    params_ratio: Share
    plan: dict[Name, JsonValue]


class FullSchema(Schema):
    """The uncompressed network in a file."""

    reward_accuracy: Accuracy
    reward_images: Positive
    test_accuracy: Accuracy
    test_images: Positive
    macs: Positive
    params: Positive
    channels: dict[Name, Positive]


class RunSchema(HeadSchema):
    """A ``Record`` in any file."""

    history: HistorySchema
    best: BestSchema
    full: FullSchema
    evaluations: Positive
    distinct: Positive
    seconds: Seconds
    environment_seconds: Seconds
    machine: dict[Name, Name | Natural]
    versions: dict[Name, Name]
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT[0-9:.]{5,20}(Z|[+-]\d\d:\d\d)$")]
    stopped: bool = False


class RecordSchema(RunSchema):
    """The file of a run."""

    format: Literal["amc-gym run 1"]
    sha256: Sha256


class JournalSchema(HeadSchema):
    """The first line of a journal."""

    format: Literal["amc-gym journal 1"]


class EpisodeSchema(Schema):
    """A further line of a journal: a finished episode."""

    reward: float
    accuracy: Accuracy
    macs: Natural
    params: Natural
    channels: Numbers
    seconds: Seconds
    evaluation: Positive
    plan: dict[Name, JsonValue] | None = None


class EndSchema(Schema):
    """The last line of a journal: the reason why there are no more."""

    error: str
