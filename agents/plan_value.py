"""PlanValue: what a plan is worth, foretold from a network's units before anything is evaluated.

A small transformer reads one row for each unit: what the unit is, what the budget is, and what the
plan does to it.  It answers with the relative reward, 0 for the uniform plan and 1 for the full
network, and is trained by regression on plans of many networks that were evaluated
(`benchmarks/transfer`).  Several of them, begun from other weights, make an ensemble.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from amc_gym.envs.observations.facts import SHARES, Facts
from amc_gym.envs.observations.features import EPISODE, UNIT, EpisodeFeatures, unit_table
from amc_gym.envs.problem import Problem

ANCHORS = ("uniform", "least error", "between", "least loss")
"""Plans that are known before: one share of all units, and least errors weighted in three ways."""

PLANNED = 4 + len(ANCHORS)
"""Features of what a plan does to a unit."""

SIZE = len(EPISODE) + len(UNIT) + PLANNED


class Units:
    """What is known of the units of a problem, and of what plans do to them.

    Args:
        problem: of channels, with a budget.

    Attributes:
        anchors: shares that the plans ``ANCHORS`` keep, (4, T).

    Raises:
        ValueError: the problem prunes single weights, or has no budget.
    """

    def __init__(self, problem: Problem) -> None:
        allocation = problem.allocation
        allocation.demand_budget("this agent")
        facts = Facts(allocation, "this agent")
        self._channels, ends = facts.channels, np.ones((len(facts.channels), 1))
        self._curves = np.hstack([ends, facts.errors, 0 * ends])  # at no channels, and at all
        self._loss = facts.sensitivity
        self.anchors = np.stack([facts.uniform, facts.least_error, facts.between, facts.least_loss])
        episode = EpisodeFeatures(allocation, facts).table(np.empty((1, 0), dtype=np.int64))
        units = unit_table(facts)
        self._constant = np.hstack([np.repeat(episode, len(units), axis=0), units])

    def rows(self, counts: np.ndarray) -> np.ndarray:
        """Features of plans, counts (n, T) -> (n, T, SIZE) float32."""
        shares = counts / self._channels
        places = np.array([0.0, *SHARES, 1.0])
        errors = np.stack(
            [np.interp(shares[:, t], places, curve) for t, curve in enumerate(self._curves)], axis=1
        )
        loss = self._loss * errors**2
        planned = [shares, errors, np.log10(loss + 1e-6) / 8, loss / (1 + loss)]
        planned += [np.log(shares / anchor) for anchor in self.anchors]
        rows = np.empty((*shares.shape, SIZE), dtype=np.float32)
        rows[..., :-PLANNED] = self._constant
        rows[..., -PLANNED:] = np.stack(planned, axis=-1)
        return rows


class PlanValue(nn.Module):
    """Rows of units -> relative reward.

    Args:
        width: of the rows inside.
        layers: of attention over the units.
        heads: of each layer.
    """

    def __init__(self, width: int = 64, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.enter = nn.Linear(SIZE, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True,
            norm_first=True,
        )  # fmt: skip
        self.units = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.value = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, width), nn.GELU())
        self.out = nn.Linear(width, 1)

    def forward(self, rows: Tensor, mask: Tensor | None = None) -> Tensor:
        """Foretell relative rewards.

        Args:
            rows: (n, T, SIZE).
            mask: (n, T) bool, true where there is a unit; ``None``: everywhere.

        Returns:
            (n,) relative rewards.
        """
        if mask is None:
            mask = torch.ones(rows.shape[:2], dtype=torch.bool, device=rows.device)
        units = self.units(self.enter(rows), src_key_padding_mask=~mask)
        weight = mask.unsqueeze(-1).float()
        mean = (units * weight).sum(1) / weight.sum(1)
        most = units.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(1)
        return self.out(self.value(torch.cat([mean, most], 1))).squeeze(1)


def foretold(ensemble: Sequence[PlanValue], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of an ensemble's answers, (n, T, SIZE) -> (n,), (n,)."""
    with torch.inference_mode():
        answers = torch.stack([each(torch.from_numpy(rows)) for each in ensemble])
    return answers.mean(0).double().numpy(), answers.std(0).double().numpy()
