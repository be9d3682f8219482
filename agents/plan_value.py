"""PlanValue: a model that predicts the value of a plan from a network's units.

A layer of attention reads one row for each unit, which describes the unit, the budget, and what the
plan does to the unit.  Its output is the loss at each unit; the total, relative to that of the
uniform plan, gives the relative reward: 0 for the uniform plan, 1 for the full network.  The model
is trained by regression on evaluated plans of many networks (`benchmarks/transfer`).  Several
models with other initial weights make an ensemble.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from amc_gym.engine import ablation
from amc_gym.envs.observations.facts import SHARES, Facts
from amc_gym.envs.observations.features import EPISODE, UNIT, EpisodeFeatures, unit_table
from amc_gym.envs.problem import Problem

ANCHORS = ("uniform", "least error", "between", "least loss", "least output error")
"""Plans that need no evaluation: uniform shares, least errors of layers with three weightings, and
least errors of the outputs."""

PLANNED = 6 + len(ANCHORS)
"""Number of features that describe what a plan does to a unit."""

SIZE = len(EPISODE) + len(UNIT) + len(ablation.SHARES) + PLANNED


class Units:
    """Features of the units of a problem, and of plans for it.

    Args:
        problem: of channel pruning with a budget.

    Attributes:
        anchors: shares that the plans ``ANCHORS`` keep, (5, T).
        uniform: rows of the uniform plan, (1, T, SIZE).

    Raises:
        ValueError: the problem prunes weights, or has no budget.
    """

    def __init__(self, problem: Problem) -> None:
        allocation = problem.allocation
        allocation.demand_budget("this agent")
        facts = Facts(allocation, "this agent")
        self._channels, ends = facts.channels, np.ones((len(facts.channels), 1))
        self._curves = np.hstack([ends, facts.errors, 0 * ends])  # with no channels, and with all
        (self._ablated,) = problem.engine.errors("outputs")
        self._loss = facts.sensitivity
        self._budget = problem.mode.batched
        plans = [facts.uniform, facts.least_error, facts.between, facts.least_loss]
        self.anchors = np.stack([*plans, np.array(allocation.least("outputs")) / facts.channels])
        episode = EpisodeFeatures(allocation, facts).table(np.empty((1, 0), dtype=np.int64))
        units = np.hstack([unit_table(facts), _decades(problem.engine.ablations)])
        self._constant = np.hstack([np.repeat(episode, len(units), axis=0), units])
        self.uniform = self.rows(np.array([allocation.uniform]))

    def mixtures(self, n: int, noise: float, rng: np.random.Generator) -> np.ndarray:
        """Draw plans between and around the anchors, as log-shares (n, T).

        Each plan mixes the anchors' logarithms and adds noise to every unit.

        Args:
            n: number of plans.
            noise: largest standard deviation of the log-factors, which differs between plans.
            rng: random generator.
        """
        mixed = rng.dirichlet(np.full(len(self.anchors), 0.5), n) @ np.log(self.anchors)
        return mixed + rng.normal(size=mixed.shape) * rng.uniform(0, noise, (n, 1))

    def counts(self, logs: np.ndarray) -> np.ndarray:
        """Return counts (n, T), int64, within the budget for given log-shares (n, T)."""
        return self._budget.scaled(np.exp(logs))

    def rows(self, counts: np.ndarray) -> np.ndarray:
        """Return the features of plans, counts (n, T) -> (n, T, SIZE) float32."""
        shares = counts / self._channels
        places = np.array([0.0, *SHARES, 1.0])
        errors = np.stack(
            [np.interp(shares[:, t], places, curve) for t, curve in enumerate(self._curves)], axis=1
        )
        loss = self._loss * errors**2
        ablated = np.stack([curve[counts[:, t]] for t, curve in enumerate(self._ablated)], axis=1)
        planned = [shares, errors, np.log10(loss + 1e-6) / 8, loss / (1 + loss)]
        planned += [_decades(ablated), ablated / (1 + ablated)]
        planned += [np.log(shares / anchor) for anchor in self.anchors]
        rows = np.empty((*shares.shape, SIZE), dtype=np.float32)
        rows[..., :-PLANNED] = self._constant
        rows[..., -PLANNED:] = np.stack(planned, axis=-1)
        return rows


def _decades(errors: np.ndarray) -> np.ndarray:
    """Scale relative squared errors logarithmically, so that 1e-4 becomes 0 and 1 becomes 1."""
    return 1 + np.log10(np.maximum(errors, 1e-4)) / 4


class PlanValue(nn.Module):
    """A model from rows of units to the logarithm of what a plan loses.

    Every unit contributes a term that depends on all units.  The scale cancels out: the relative
    reward is 1 minus the loss as a share of the uniform plan's.

    Args:
        width: of the hidden rows.
        heads: of the layer of attention over the units.
        dropout: in that layer, during training.
    """

    def __init__(self, width: int = 64, heads: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        self.enter = nn.Linear(SIZE, width)
        self.units = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.lost = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1)
        )

    def forward(self, rows: Tensor, mask: Tensor | None = None) -> Tensor:
        """Predict what plans lose.

        Args:
            rows: (n, T, SIZE).
            mask: (n, T) bool, True for units, False for padding; ``None``: only units.

        Returns:
            (n,) logarithms, in a unit that differs between networks.
        """
        if mask is None:
            mask = torch.ones(rows.shape[:2], dtype=torch.bool, device=rows.device)
        units = self.units(self.enter(rows), src_key_padding_mask=~mask)
        return self.lost(units).squeeze(2).masked_fill(~mask, -torch.inf).logsumexp(1)


def relative(lost: Tensor, uniform: Tensor) -> Tensor:
    """Return relative rewards of plans, (n,), from the log-losses of plans and the uniform plan.

    They are 0 for the uniform plan and 1 for no loss, and are bounded where a plan loses e^2 times
    as much as the uniform plan.
    """
    return 1 - torch.exp((lost - uniform).clamp(max=2))


def predicted_rewards(
    ensemble: Sequence[PlanValue], rows: np.ndarray, uniform: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of an ensemble's predicted relative rewards.

    Args:
        ensemble: models in eval mode.
        rows: of plans, (n, T, SIZE).
        uniform: of the uniform plan, (1, T, SIZE).

    Returns:
        Mean (n,) and standard deviation (n,).
    """
    with torch.inference_mode():
        plans, base = torch.from_numpy(rows), torch.from_numpy(uniform)
        answers = torch.stack([relative(each(plans), each(base)) for each in ensemble])
    deviation = answers.std(0, correction=min(len(answers) - 1, 1))  # 0 for one member
    return answers.mean(0).double().numpy(), deviation.double().numpy()
