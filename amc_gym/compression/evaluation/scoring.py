"""Scores of a network: the contribution of each batch, and the result of all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from amc_gym._utils.arguments import real
from amc_gym._utils.nests import Nest, called, samples, take

Batch = tuple[Nest, Nest]
"""Inputs of a network, and their targets."""


class Score(Protocol):
    """A score in [0, 1] of whole passes, which need not be a mean over samples."""

    def accumulate(self, outputs: Nest, targets: Nest, /) -> Any:
        """Evaluate one batch; several batches may be evaluated at the same time."""
        ...

    def finish(self, parts: Sequence[Any], /) -> float:
        """Return the score of a pass from the results of its batches, in order."""
        ...


@dataclass(frozen=True)
class Scored:
    """A network's score in [0, 1], and the number of samples."""

    score: float
    images: int


def scored(network: nn.Module, batches: Iterable[Batch], score: Score) -> float:
    """Return the score of ``network`` on batches, run one after the other.

    Raises:
        ValueError: as ``finished``.
    """
    return finished(score, [part for batch in batches for part in on_batch(network, batch, score)])


def on_batch(network: nn.Module, batch: Batch, score: Score, plans: int = 1) -> list[Any]:
    """Run one batch, and return its contributions to the score under each plan.

    Args:
        network: evaluates all of the plans, the first one's outputs first.
        batch: inputs and targets of N samples.
        score: scores the outputs of one plan.
        plans: number of plans; the network's outputs are those of ``plans`` x N samples.
    """
    inputs, targets = batch
    with torch.inference_mode():
        outputs = called(network, inputs)
        return [score.accumulate(each, targets) for each in split(outputs, plans)]


def split(outputs: Nest, parts: int) -> list[Nest]:
    """Divide a batch into equally large parts; a single part is the batch itself."""
    if parts == 1:
        return [outputs]
    size = samples(outputs) // parts
    return [take(outputs, slice(n * size, (n + 1) * size)) for n in range(parts)]


def finished(score: Score, parts: Sequence[Any]) -> float:
    """Return the score of a pass from its parts.

    Raises:
        ValueError: it is not a number in [0, 1].
    """
    try:
        return real("the score", score.finish(parts), at_least=0, at_most=1)
    except TypeError as error:
        raise ValueError(str(error)) from error
