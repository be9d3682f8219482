"""Which channels stay: each unit's channels in order of importance, most important first.

A ranking is computed once per unit and does not depend on how many channels are kept, so the kept
sets are nested.  That is what makes the reconstruction of every channel count cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Consumer:
    """What a ranking may look at in one consumer of a unit.

    Its weights as a matrix, one row per *column* of the layer's unfolded input: the ``size``
    columns that one channel fills (kernel positions, or pixels of a flattened map) lie together,
    and the channels follow each other in order.
    """

    weight: torch.Tensor  # (channels * size, outputs), float64
    gram: torch.Tensor | None  # (channels * size, channels * size), float64; None: too few samples
    size: int

    @property
    def channels(self) -> int:
        return len(self.weight) // self.size


Importance = Callable[[Sequence[Consumer]], np.ndarray]
"""Consumers of a unit -> its channels, a permutation, most important first."""


def magnitude(consumers: Sequence[Consumer]) -> np.ndarray:
    """Summed magnitude of the weights that read a channel (paper, section 3.4).

    Where several layers read it, each layer's magnitudes are scaled to sum 1 and added.
    """
    score = torch.zeros(consumers[0].channels, dtype=torch.float64)
    for consumer in consumers:
        each = consumer.weight.abs().reshape(consumer.channels, -1).sum(1)
        score += each / each.sum().clamp_min(torch.finfo(torch.float64).tiny)
    return torch.argsort(score, descending=True, stable=True).numpy()


def greedy(consumers: Sequence[Consumer]) -> np.ndarray:
    """Forward selection: at each step the channel that lowers the output error most.

    With G the Gram matrix of a layer's inputs and W its weights, the error that is left once the
    channels S are kept and re-fitted is tr(W' R W), R = G - G[:, S] G[S, S]^-1 G[S, :].  Adding
    channel c lowers it by tr(B' R[c, c]^-1 B) with B = (R W)[c], and deflates R and R W by rank
    ``size``.  Where several layers read a channel, their errors are added relative to their totals.
    Channels whose layers hold no Gram matrix fall back to their magnitude.
    """
    usable = [c for c in consumers if c.gram is not None]
    if not usable:
        return magnitude(consumers)
    states = [_Deflation(c) for c in usable]
    n = usable[0].channels
    left = torch.ones(n, dtype=torch.bool)
    order = np.empty(n, dtype=np.int64)
    for step in range(n):
        gain = sum(state.gains() for state in states)
        assert isinstance(gain, torch.Tensor)
        best = int(torch.where(left, gain, -torch.inf).argmax())
        order[step] = best
        left[best] = False
        for state in states:
            state.deflate(best)
    return order


class _Deflation:
    """The residual Gram matrix and cross products of one consumer during forward selection."""

    RIDGE = 1e-6  # of the mean diagonal: keeps R[c, c] invertible once c is explained by others

    def __init__(self, consumer: Consumer) -> None:
        assert consumer.gram is not None
        self.size = consumer.size
        self.channels = consumer.channels
        self.gram = consumer.gram.clone()
        self.gram.diagonal().add_(self.RIDGE * float(self.gram.diagonal().mean()))
        self.cross = self.gram @ consumer.weight
        self.total = float((consumer.weight * self.cross).sum()) or 1.0
        self.floor = 0.5 * self.RIDGE * float(self.gram.diagonal().mean())

    def gains(self) -> torch.Tensor:
        """Relative fall of this layer's output error by adding each channel, shape (channels,)."""
        if self.size == 1:
            return (
                self.cross.square().sum(1) / self.gram.diagonal().clamp_min(self.floor) / self.total
            )
        blocks = self._blocks()
        cross = self.cross.reshape(self.channels, self.size, -1)
        return (cross * torch.linalg.solve(blocks, cross)).sum((1, 2)) / self.total

    def _blocks(self) -> torch.Tensor:
        """The diagonal blocks R[c, c], shape (channels, size, size), kept invertible."""
        square = self.gram.reshape(self.channels, self.size, self.channels, self.size)
        blocks = square.diagonal(dim1=0, dim2=2).permute(2, 0, 1).contiguous()
        blocks.diagonal(dim1=1, dim2=2).add_(self.floor)
        return blocks

    def deflate(self, channel: int) -> None:
        mine = slice(channel * self.size, (channel + 1) * self.size)
        block = self.gram[mine, mine].clone()
        block.diagonal().add_(self.floor)
        factor = torch.linalg.solve(block, self.gram[mine])  # (size, columns)
        cross = self.cross[mine].clone()
        self.gram -= self.gram[:, mine] @ factor
        self.cross -= factor.T @ cross


IMPORTANCES: dict[str, Importance] = {"magnitude": magnitude, "greedy": greedy}
NEEDS_GRAM = frozenset({"greedy"})
