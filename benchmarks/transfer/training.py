"""Regression of relative rewards on what plans do to units: an ensemble of ``PlanValue``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from agents.plan_value import SIZE, PlanValue
from benchmarks.transfer.logs import Log

EPOCHS, BATCH = 24, 256
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.05
LOW, HIGH = -2.0, 1.1
"""Relative rewards beyond are alike: a plan that loses three times as much as the uniform one is
as useless as one that loses more."""

GOOD = 2.0
"""Weight more of plans that are better than the uniform one: it is among those that one chooses."""


def fit(
    logs: Sequence[Log],
    seed: int,
    tell: Callable[[int], None] = lambda epoch: None,
    epochs: int = EPOCHS,
) -> PlanValue:
    """Train one member.

    Args:
        logs: plans of many contexts.
        seed: of its weights and of the order of plans.
        tell: called after each epoch with how many are done.
        epochs: passes over all plans.
    """
    torch.manual_seed(seed)
    rng, net = np.random.default_rng(seed), PlanValue()
    where = np.array([(c, i) for c, log in enumerate(logs) for i in range(len(log.rewards))])
    steps = max(len(where) // BATCH, 1)
    optimizer = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=epochs * steps, pct_start=0.1
    )
    for epoch in range(epochs):
        order = rng.permutation(where)
        cuts = np.linspace(0, len(order), steps + 1).astype(int)
        for start, stop in pairwise(cuts):
            rows, mask, rewards = _batch(logs, order[start:stop])
            losses = nn.functional.huber_loss(net(rows, mask), rewards, reduction="none", delta=0.5)
            loss = (losses * (1 + GOOD * (rewards > 0))).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        tell(epoch + 1)
    return net.eval()


def _batch(logs: Sequence[Log], which: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (n, T, features), mask (n, T) and clipped rewards (n,) of plans (n, 2): (log, plan)."""
    most = max(logs[c].rows.shape[1] for c, _ in which)
    rows = np.zeros((len(which), most, SIZE), dtype=np.float32)
    mask = np.zeros((len(which), most), dtype=bool)
    rewards = np.zeros(len(which), dtype=np.float32)
    for place, (c, i) in enumerate(which):
        units = logs[c].rows.shape[1]
        rows[place, :units], mask[place, :units] = logs[c].rows[i], True
        rewards[place] = logs[c].rewards[i]
    clipped = rewards.clip(LOW, HIGH)
    return torch.from_numpy(rows), torch.from_numpy(mask), torch.from_numpy(clipped)
