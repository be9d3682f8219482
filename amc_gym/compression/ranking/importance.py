"""Orders of a unit's channels by importance, most important first.

A ranking is computed once per unit and does not depend on how many channels are kept, so the kept
sets are nested.  That makes the reconstruction of every channel count cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Consumer:
    """A layer that reads a unit, in the form that rankings receive.

    Its weights are a matrix with one row per *column* of the layer's unfolded input: the ``size``
    columns of one channel (kernel positions, or pixels of a flattened map) are adjacent, and the
    channels follow each other in order.
    """

    weight: torch.Tensor  # (channels * size, outputs), float64
    gram: torch.Tensor | None  # (channels * size, channels * size), float64; None: too few samples
    size: int

    @property
    def channels(self) -> int:
        """Number of channels that it reads."""
        return len(self.weight) // self.size


@dataclass(frozen=True)
class UnitView:
    """A unit in the form that rankings receive.

    Attributes:
        consumers: the layers that read its channels, in execution order.
        norm_scales: |gamma| of each batch norm that the unit holds, (channels,) each.
        saliency: estimated change of the loss if a channel is removed, (channels,), see
            ``statistics.saliencies``; ``None`` unless the ranking needs it.
    """

    consumers: Sequence[Consumer]
    norm_scales: Sequence[torch.Tensor] = ()
    saliency: torch.Tensor | None = None

    @property
    def channels(self) -> int:
        """Number of channels of the unit."""
        return self.consumers[0].channels


Importance = Callable[[UnitView], np.ndarray]
"""Function: unit -> permutation of its channels, most important first."""

EVERYTHING = frozenset({"grams", "saliency"})


@dataclass(frozen=True)
class Ranking:
    """A ranking function and what it needs besides weights.

    Attributes:
        function: returns the order of a unit's channels.
        needs: "grams" for Gram matrices, "saliency" for the change of the loss.
    """

    function: Importance
    needs: frozenset[str] = EVERYTHING


IMPORTANCES: dict[str, Ranking] = {}
"""Name -> registered ranking."""


def register(name: str, *, needs: Iterable[str] = ()) -> Callable[[Importance], Importance]:
    """Register a ranking under a name; use as a decorator.

    Args:
        name: value of the option ``importance``.
        needs: those of "grams" and "saliency" that it uses.

    Raises:
        ValueError: another ranking has that name, or ``needs`` holds anything else.
    """
    if unknown := set(needs) - EVERYTHING:
        raise ValueError(f"rankings may need 'grams' and 'saliency', not {sorted(unknown)}")

    def known(function: Importance) -> Importance:
        if name in IMPORTANCES:
            raise ValueError(f"there is a ranking {name!r} already: choose another name")
        IMPORTANCES[name] = Ranking(function, frozenset(needs))
        return function

    return known


def ranking(importance: str | Importance) -> Ranking:
    """Return the ranking of a name, or of a user's function, which receives everything."""
    return IMPORTANCES[importance] if isinstance(importance, str) else Ranking(importance)


def descending(score: torch.Tensor) -> np.ndarray:
    """Return channels by descending score (channels,); of equal channels the first comes first."""
    return torch.argsort(score, descending=True, stable=True).numpy()


def _shares(scores: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the sum of several scores per channel, each scaled to sum 1."""
    tiny = torch.finfo(torch.float64).tiny
    return torch.stack([score / score.sum().clamp_min(tiny) for score in scores]).sum(0)


@register("magnitude")
def magnitude(unit: UnitView) -> np.ndarray:
    """Rank by the summed magnitude of the weights that read a channel (paper, section 3.4).

    If several layers read it, each layer's magnitudes are scaled to sum 1 and added.
    """
    return descending(
        _shares([c.weight.abs().reshape(c.channels, -1).sum(1) for c in unit.consumers])
    )


@register("bn-scale")
def bn_scale(unit: UnitView) -> np.ndarray:
    """Rank by the scale |gamma| of the batch norms of a channel (Liu et al., 2017).

    If a channel passes several norms, each norm's scales are scaled to sum 1 and added.  Units
    without batch norm are ranked by magnitude.
    """
    return descending(_shares(unit.norm_scales)) if unit.norm_scales else magnitude(unit)


@register("taylor", needs={"saliency"})
def taylor(unit: UnitView) -> np.ndarray:
    """Rank by the first-order Taylor expansion of the loss (Molchanov et al., 2019, equation 8)."""
    assert unit.saliency is not None
    return descending(unit.saliency)


@register("greedy", needs={"grams"})
def greedy(unit: UnitView) -> np.ndarray:
    """Rank by forward selection: each step adds the channel that lowers the output error most.

    With G the Gram matrix of a layer's inputs and W its weights, the error that is left when the
    channels S are kept and re-fitted is tr(W' R W), R = G - G[:, S] G[S, S]^-1 G[S, :].  Adding
    channel c lowers it by tr(B' R[c, c]^-1 B) with B = (R W)[c], and deflates R and R W by rank
    ``size``.  If several layers read a channel, their errors are added relative to their totals.
    Units whose layers have no Gram matrix are ranked by magnitude.
    """
    states = [_Deflation(c) for c in unit.consumers if c.gram is not None]
    if not states:
        return magnitude(unit)
    left = torch.ones(unit.channels, dtype=torch.bool)
    order = np.empty(unit.channels, dtype=np.int64)
    for step in range(unit.channels):
        gain = torch.stack([state.gains() for state in states]).sum(0)
        best = int(torch.where(left, gain, -torch.inf).argmax())
        order[step] = best
        left[best] = False
        for state in states:
            state.deflate(best)
    return order


class _Deflation:
    """The residual Gram matrix and cross products of one consumer during forward selection."""

    RIDGE = 1e-6  # share of the mean diagonal: keeps R[c, c] invertible if others explain c

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
        """Return the relative reduction of the layer's error by each channel, (channels,)."""
        if self.size == 1:
            return (
                self.cross.square().sum(1) / self.gram.diagonal().clamp_min(self.floor) / self.total
            )
        blocks = self._blocks()
        cross = self.cross.reshape(self.channels, self.size, -1)
        return (cross * torch.linalg.solve(blocks, cross)).sum((1, 2)) / self.total

    def _blocks(self) -> torch.Tensor:
        """Return the diagonal blocks R[c, c], (channels, size, size), kept invertible."""
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
