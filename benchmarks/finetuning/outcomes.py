"""Which test images a network has right before and after fine-tuning, as a file.

Outcomes of a published study are in one file, see `archive`.
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
from amc_gym.tasks.gathering import Data
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
    """One bit per test image: whether the network has it right.

    With them two networks can be compared image by image, years later.

    Attributes:
        images: how many there are.
        hex: the bits, eight to a byte, the first image's highest.
        split: fingerprint of the images.
    """

    images: int
    hex: str
    split: str

    @classmethod
    def of(cls, network: nn.Module, split: Data, batch_size: int = 256) -> Bits:
        """Judge a network that classifies, in evaluation mode, on its device."""
        assert isinstance(split, Split), "a task that tells no classes"
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
        """(images,)."""
        packed = np.frombuffer(bytes.fromhex(self.hex), dtype=np.uint8)
        return np.unpackbits(packed, count=self.images).astype(bool)

    @property
    def accuracy(self) -> float:
        """Share in [0, 1]."""
        return float(self.array.mean())


@dataclass(frozen=True)
class Outcome:
    """A fine-tuned network, judged.

    Attributes:
        name: of its file.
        agent: whose plan, or the full network.
        search_seed: of the run that found the plan.
        finetuning_seed: of order and augmentation.
        recipe: all that decided the training.
        recovery: of the weights before; None: as in the search.
        plan: what it keeps; None for the full network.
        macs_ratio: its MACs as a share of the full network's.
        params_ratio: its parameters likewise.
        before: test images that it has right before.
        after: and afterwards.
        reward_accuracy: on the images of the search, afterwards.
        network: file of its weights in the same folder, if they are kept.
        seconds: of the training, since its last interruption.
        machine: what it ran on.
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

    @property
    def label(self) -> str:
        """Whose plan it is, and whether what it drops was shrunk before the cut."""
        return f"{self.agent}, shrunk" if self.recipe.get("shrink") else self.agent

    def to_content(self) -> dict[str, Any]:
        """Turn into a table for a file, without its format."""
        return asdict(self) | {"plan": None if self.plan is None else self.plan.to_dict()}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Outcome:
        """Make the outcome of what ``to_content`` said.

        Raises:
            DocumentError, PlanError: it does not fit the schema, or has no valid plan.
        """
        documents.check(OutcomeSchema, content)
        plan = content["plan"]
        parts: dict[str, Any] = {side: Bits(**content[side]) for side in archive.SIDES}
        parts["plan"] = None if plan is None else CompressionPlan.from_dict(plan)
        return cls(**content | parts)

    def save(self, folder: Path) -> Path:
        """Write NAME.json, whole or not at all."""
        path = folder / f"{self.name}.json"
        fields = {"format": FORMAT} | self.to_content()
        lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items()]
        return write_whole(path, "{\n" + ",\n".join(lines) + "\n}\n")

    @classmethod
    def load(cls, path: Path) -> Outcome:
        """Read what ``save`` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            content = documents.read(path)
            if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
                raise DocumentError(f"it is not of the format {FORMAT!r}")
            return cls.from_content(content)
        except (DocumentError, PlanError) as error:
            raise ValueError(f"{path} is no outcome of a fine-tuning: {error}") from error


def load_all(folder: Path) -> list[Outcome]:
    """Every outcome in a folder, by name; its own file is newer than what an archive says of it.

    Raises:
        ValueError: a JSON file there is none, or the archive is damaged.
    """
    path = folder / archive.FILE
    try:
        found = [Outcome.from_content(content) for content in archive.read(folder)]
    except (DocumentError, PlanError) as error:
        raise ValueError(f"{path} holds no outcomes of a fine-tuning: {error}") from error
    found += [Outcome.load(path) for path in folder.glob("*.json")]
    by_file = {f"{outcome.name}.json": outcome for outcome in found}
    return [by_file[name] for name in sorted(by_file)]
