"""Which images the network of a plan classifies correctly, in memory and as a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from amc_gym import CompressionTask
from amc_gym._utils import documents
from amc_gym._utils.documents import Schema, Seconds, Share
from amc_gym.compression.evaluation.hits import METRICS
from benchmarks.finetuning.outcomes import Bits, BitsSchema

FULL, UNIFORM = "full network", "uniform"

UNDER, TUNED = " under ", " fine-tuned"
"""Suffixes of an agent's name for plans with another recovery, or fine-tuned."""

SEVERAL = ", best of "
"""Second suffix, before a number, where the recovery chose among several plans."""

SPLITS = ("reward", "test")


class JudgedSchema(Schema):
    """A ``Judged`` in a file."""

    agent: str
    macs_ratio: Share
    evaluations: int
    seconds: Seconds
    right: dict[str, BitsSchema]


@dataclass(frozen=True)
class Judged:
    """The evaluated best plan of a run, or the full network.

    Attributes:
        agent: agent that found it.
        macs_ratio: its MACs as a share of the full network's.
        evaluations: evaluations that the run spent.
        seconds: duration of the run.
        right: which images it classifies correctly, by split and metric, such as "test top5".
    """

    agent: str
    macs_ratio: float
    evaluations: int
    seconds: float
    right: Mapping[str, Bits]

    @classmethod
    def read(cls, path: Path) -> Judged:
        """Read a file that ``judge`` wrote.

        Raises:
            DocumentError: the file is anything else.
        """
        content = documents.read(path)
        documents.check(JudgedSchema, content)
        right = {name: Bits(**bits) for name, bits in content.pop("right").items()}
        return cls(**content, right=right)


def right_images(network: nn.Module, task: CompressionTask, size: int = 16) -> dict[str, Bits]:
    """Return which images a network classifies correctly, by split and metric.

    Args:
        network: the network.
        task: task with the images.
        size: images in a batch, few because they may be photographs.
    """
    found = {}
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    for name in SPLITS:
        split, hits = getattr(task, name), []
        with torch.inference_mode():
            for images, labels in split.batches(size):
                logits = network(images.contiguous(memory_format=torch.channels_last))
                best = logits.topk(min(5, logits.shape[1])).indices
                hits.append((best == labels[:, None]).cpu().numpy())
        ranks = np.concatenate(hits)
        for metric, top in METRICS.items():
            packed = np.packbits(ranks[:, :top].any(1)).tobytes().hex()
            found[f"{name} {metric}"] = Bits(len(split), packed, split.fingerprint)
    return found
