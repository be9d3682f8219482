"""Which channels stay: each unit's channels in order of importance, most important first.

A ranking is computed once per unit and does not depend on how many channels are kept, so the kept
sets are nested.  That is what makes the reconstruction of every channel count cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Consumer:
    """One consumer of a unit, as a ranking sees it.

    Its weights as a matrix, one row per *column* of the layer's unfolded input: the ``size``
    columns that one channel fills (kernel positions, or pixels of a flattened map) lie together,
    and the channels follow each other in order.
    """

    weight: torch.Tensor  # (channels * size, outputs), float64
    gram: torch.Tensor | None  # (channels * size, channels * size), float64; None: too few samples
    size: int

    @property
    def channels(self) -> int:
        """Channels that it reads."""
        return len(self.weight) // self.size


@dataclass(frozen=True)
class UnitView:
    """One unit, as a ranking sees it.

    Attributes:
        consumers: the layers that read its channels, in execution order.
        norm_scales: |gamma| of each batch norm that the unit holds, (channels,) each.
        saliency: how the loss on the calibration images reacts to each channel,
            (channels,), see ``statistics.saliencies``; ``None`` unless it was asked for.
    """

    consumers: Sequence[Consumer]
    norm_scales: Sequence[torch.Tensor] = ()
    saliency: torch.Tensor | None = None

    @property
    def channels(self) -> int:
        """Channels of the unit."""
        return self.consumers[0].channels


Importance = Callable[[UnitView], np.ndarray]
"""A unit -> its channels, a permutation, most important first."""

EVERYTHING = frozenset({"grams", "saliency"})


@dataclass(frozen=True)
class Ranking:
    """A ranking and what it needs besides weights.

    Attributes:
        function: from a unit to its channels.
        needs: "grams" for Gram matrices, "saliency" for how the loss reacts.
    """

    function: Importance
    needs: frozenset[str] = EVERYTHING


IMPORTANCES: dict[str, Ranking] = {}
"""Name -> registered ranking."""


def register(name: str, *, needs: Iterable[str] = ()) -> Callable[[Importance], Importance]:
    """Make a ranking known by a name; to be used as a decorator.

    Args:
        name: what the option ``importance`` calls it.
        needs: of "grams" and "saliency", those that it looks at.

    Raises:
        ValueError: another ranking has that name, or there is no such need.
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
    """Return the ranking of a name; a user's own function is given everything."""
    return IMPORTANCES[importance] if isinstance(importance, str) else Ranking(importance)


def descending(score: torch.Tensor) -> np.ndarray:
    """The permutation that a score per channel means; of equal channels the first comes first."""
    return torch.argsort(score, descending=True, stable=True).numpy()


def _shares(scores: Sequence[torch.Tensor]) -> torch.Tensor:
    """Several scores per channel, each scaled to sum 1, added."""
    tiny = torch.finfo(torch.float64).tiny
    return torch.stack([score / score.sum().clamp_min(tiny) for score in scores]).sum(0)


@register("magnitude")
def magnitude(unit: UnitView) -> np.ndarray:
    """Return summed magnitude of the weights that read a channel (paper, section 3.4).

    Where several layers read it, each layer's magnitudes are scaled to sum 1 and added.
    """
    return descending(
        _shares([c.weight.abs().reshape(c.channels, -1).sum(1) for c in unit.consumers])
    )


@register("bn-scale")
def bn_scale(unit: UnitView) -> np.ndarray:
    """Scale |gamma| of the batch norms that a channel passes (Liu et al., network slimming, 2017).

    Where it passes several, each norm's scales are scaled to sum 1 and added.  Units without batch
    norm fall back to magnitude.
    """
    return descending(_shares(unit.norm_scales)) if unit.norm_scales else magnitude(unit)


@register("taylor", needs={"saliency"})
def taylor(unit: UnitView) -> np.ndarray:
    """First-order Taylor expansion of the loss (Molchanov et al., 2019, equation 8)."""
    assert unit.saliency is not None
    return descending(unit.saliency)


@register("greedy", needs={"grams"})
def greedy(unit: UnitView) -> np.ndarray:
    """Forward selection: at each step the channel that lowers the output error most.

    With G the Gram matrix of a layer's inputs and W its weights, the error that is left once the
    channels S are kept and re-fitted is tr(W' R W), R = G - G[:, S] G[S, S]^-1 G[S, :].  Adding
    channel c lowers it by tr(B' R[c, c]^-1 B) with B = (R W)[c], and deflates R and R W by rank
    ``size``.  Where several layers read a channel, their errors are added relative to their totals.
    Units whose layers hold no Gram matrix fall back to magnitude.
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
        """Return the diagonal blocks R[c, c], shape (channels, size, size), kept invertible."""
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
