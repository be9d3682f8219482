"""Outcomes: which test images a network classifies correctly before and after fine-tuning.

Outcomes of a published study share one file, see `archive`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, JsonValue, model_validator
from torch import nn

from amc_gym import CompressionPlan, PlanError, Split
from amc_gym._utils import documents
from amc_gym._utils.documents import (
    Accuracy,
    DocumentError,
    Name,
    Natural,
    Positive,
    Schema,
    Seconds,
    Sha256,
    Share,
)
from amc_gym._utils.files import write_whole
from amc_gym.tasks.data import Data
from benchmarks.finetuning import archive

FORMAT = "amc-gym fine-tuning 1"


class BitsSchema(Schema):
    """``Bits`` in a file."""

    images: Positive
    hex: Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$")]
    split: Sha256

    @model_validator(mode="after")
    def _as_many(self) -> BitsSchema:
        if len(self.hex) != 2 * -(-self.images // 8):
            raise ValueError("should have a bit for each image")
        return self


class OutcomeSchema(Schema):
    """An ``Outcome``, in a file of its own or in an archive."""

    name: Name
    agent: Name
    search_seed: Natural
    finetuning_seed: Natural
    recipe: dict[Name, JsonValue]
    recovery: Name | None
    teacher: Name | None = None
    plan: dict[Name, JsonValue] | None
    macs_ratio: Share
    params_ratio: Share
    before: BitsSchema
    after: BitsSchema
    reward_accuracy: Accuracy
    network: Name | None
    seconds: Seconds
    machine: dict[Name, Name | Natural]
    versions: dict[Name, Name]
    date: Name


@dataclass(frozen=True)
class Bits:
    """One bit per test image: whether a network classifies it correctly.

    With these, two networks can be compared image by image, years later.

    Attributes:
        images: number of images.
        hex: the bits, eight to a byte, the first image in the highest bit.
        split: fingerprint of the images.
    """

    images: int
    hex: str
    split: str

    @classmethod
    def of(cls, network: nn.Module, split: Data, batch_size: int = 256) -> Bits:
        """Evaluate a classifier in evaluation mode on its device."""
        assert isinstance(split, Split), "the task is not a classification"
        device = next(network.parameters()).device
        right: list[NDArray[np.bool_]] = []
        with torch.inference_mode():
            for images, labels in split.batches(batch_size):
                best = network(images.to(device)).argmax(1).cpu()
                right.append((best == labels.cpu()).numpy())
        packed = np.packbits(np.concatenate(right)).tobytes().hex()
        return cls(len(split), packed, split.fingerprint)

    @property
    def array(self) -> NDArray[np.bool_]:
        """Return the bits, (images,)."""
        packed = np.frombuffer(bytes.fromhex(self.hex), dtype=np.uint8)
        return np.unpackbits(packed, count=self.images).astype(bool)

    @property
    def accuracy(self) -> float:
        """Share of correct images, in [0, 1]."""
        return float(self.array.mean())


@dataclass(frozen=True)
class Outcome:
    """A fine-tuned and evaluated network.

    Attributes:
        name: of its file.
        agent: agent that found the plan, or the full network.
        search_seed: seed of the run that found the plan.
        finetuning_seed: seed of order and augmentation.
        recipe: all settings of the training.
        recovery: of the weights before; None: as in the search.
        teacher: registered network that taught, with its bundled weights; None: the original.
        plan: the plan; None for the full network.
        macs_ratio: its MACs as a share of the full network's.
        params_ratio: its parameters likewise.
        before: correct test images before fine-tuning.
        after: correct test images after it.
        reward_accuracy: on the images of the search, after it.
        network: file of its weights in the same folder, if they are kept.
        seconds: duration of the training since its last interruption.
        machine: machine that it ran on.
        versions: package -> version.
        date: when it ended, ISO 8601 in UTC.
    """

    name: str
    agent: str
    search_seed: int
    finetuning_seed: int
    recipe: dict[str, Any]
    recovery: str | None
    plan: CompressionPlan | None
    macs_ratio: float
    params_ratio: float
    before: Bits
    after: Bits
    reward_accuracy: float
    network: str | None
    seconds: float
    machine: dict[str, str | int]
    versions: dict[str, str]
    date: str
    teacher: str | None = None

    @property
    def label(self) -> str:
        """Agent of the plan, and whether its dropped weights were shrunk before pruning."""
        return f"{self.agent}, shrunk" if self.recipe.get("shrink") else self.agent

    def to_content(self) -> dict[str, Any]:
        """Return the content for a file, without its format."""
        return asdict(self) | {"plan": None if self.plan is None else self.plan.to_dict()}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Outcome:
        """Make an outcome from the result of ``to_content``.

        Raises:
            DocumentError, PlanError: it does not fit the schema, or has no valid plan.
        """
        documents.check(OutcomeSchema, content)
        plan = content["plan"]
        parts: dict[str, Any] = {side: Bits(**content[side]) for side in archive.SIDES}
        parts["plan"] = None if plan is None else CompressionPlan.from_dict(plan)
        return cls(**content | parts)

    def save(self, folder: Path) -> Path:
        """Write NAME.json, completely or not at all."""
        path = folder / f"{self.name}.json"
        fields = {"format": FORMAT} | self.to_content()
        lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items()]
        return write_whole(path, "{\n" + ",\n".join(lines) + "\n}\n")

    @classmethod
    def load(cls, path: Path) -> Outcome:
        """Read a file that ``save`` wrote.

        Raises:
            ValueError: it is anything else.
        """
        try:
            content = documents.read(path)
            if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
                raise DocumentError(f"it is not of the format {FORMAT!r}")
            return cls.from_content(content)
        except (DocumentError, PlanError) as error:
            raise ValueError(f"{path} is not an outcome of a fine-tuning: {error}") from error


def load_all(folder: Path) -> list[Outcome]:
    """Return every outcome in a folder, by name; single files take precedence over an archive.

    Raises:
        ValueError: a JSON file is not an outcome, or the archive is damaged.
    """
    path = folder / archive.FILE
    try:
        found = [Outcome.from_content(content) for content in archive.read(folder)]
    except (DocumentError, PlanError) as error:
        raise ValueError(f"{path} holds no outcomes of a fine-tuning: {error}") from error
    found += [Outcome.load(path) for path in folder.glob("*.json")]
    by_file = {f"{outcome.name}.json": outcome for outcome in found}
    return [by_file[name] for name in sorted(by_file)]
