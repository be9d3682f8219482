"""Training of an ensemble of ``PlanValue``: regression of relative rewards on plans' features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from agents.plan_value import SIZE, PlanValue, relative
from benchmarks.transfer.logs import Log

EPOCHS, BATCH = 12, 256
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.05
LOW, HIGH = -2.0, 1.1
"""Relative rewards are clipped to this range: a plan that loses three times as much as the uniform
one is as useless as one that loses more."""

GOOD = 2.0
"""Extra weight of plans better than the uniform one, since the choice is made among those."""


class Examples:
    """Plans of many contexts, padded to the largest number of units.

    Attributes:
        rows: (n, T, SIZE) float32.
        mask: (n, T) bool, True where there is a unit.
        uniform: index in ``bases`` of each plan's uniform plan, (n,).
        bases: features of the uniform plans, (contexts, T, SIZE), and their masks (contexts, T).
        rewards: clipped relative rewards, (n,).
    """

    def __init__(self, logs: Sequence[Log]) -> None:
        most = max(log.rows.shape[1] for log in logs)
        self.rows, self.mask = _padded([log.rows for log in logs], most)
        self.bases = _padded([log.uniform for log in logs], most)
        sizes = torch.tensor([len(log.rewards) for log in logs])
        self.uniform = torch.repeat_interleave(torch.arange(len(logs)), sizes)
        rewards = np.concatenate([log.rewards for log in logs])
        self.rewards = torch.from_numpy(rewards.clip(LOW, HIGH))

    def batch(self, chosen: Tensor) -> tuple[Tensor, ...]:
        """Return features and mask of plans and of their uniform plans, without unused padding."""
        mask, base = self.mask[chosen], self.uniform[chosen]
        units = int(mask.sum(1).max())
        found = self.rows[chosen], mask, *(each[base] for each in self.bases)
        return tuple(each[:, :units] for each in found)


def _padded(rows: Sequence[np.ndarray], most: int) -> tuple[Tensor, Tensor]:
    """Pad and stack arrays (n, T, SIZE) of different T -> (all n, most, SIZE), (all n, most)."""
    total = sum(map(len, rows))
    padded, mask = torch.zeros(total, most, SIZE), torch.zeros(total, most, dtype=torch.bool)
    start = 0
    for each in rows:
        n, units, _ = each.shape
        padded[start : start + n, :units] = torch.from_numpy(each)
        mask[start : start + n, :units] = True
        start += n
    return padded, mask


def fit(
    logs: Sequence[Log],
    seed: int,
    on_epoch: Callable[[int], None] = lambda epoch: None,
    epochs: int = EPOCHS,
) -> PlanValue:
    """Train one member of the ensemble.

    Args:
        logs: plans of many contexts.
        seed: seed of its initial weights and of the order of plans.
        on_epoch: called after each epoch with the number of finished epochs.
        epochs: number of passes over all plans.
    """
    torch.manual_seed(seed)
    examples, net = Examples(logs), PlanValue()
    n = len(examples.rewards)
    steps = max(n // BATCH, 1)
    optimizer = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=epochs * steps, pct_start=0.1
    )
    for epoch in range(epochs):
        for chosen in torch.randperm(n).tensor_split(steps):
            rows, mask, base, base_mask = examples.batch(chosen)
            rewards = examples.rewards[chosen]
            answers = relative(net(rows, mask), net(base, base_mask))
            losses = nn.functional.huber_loss(answers, rewards, reduction="none", delta=0.5)
            loss = (losses * (1 + GOOD * (rewards > 0))).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        on_epoch(epoch + 1)
    return net.eval()
