"""Shrinking before the cut: a growing penalty on what a plan drops.

GReg-1 (Wang et al., 2021, "Neural Pruning via Growing Regularization"): an L2 penalty, on what is
to be pruned only, grows step by step while the network is trained.  The rest takes over what the
dropped part did, a little at a time, until nothing hangs on it and it can be cut.
"""

from __future__ import annotations

import torch
from torch import nn

from amc_gym.compression.pruning.cut import Cut

STRENGTH = 30.0
"""Growth of the penalty.

Without a gradient that holds it, a dropped weight is left with e^(-30 (ln 2 - 1/2)) = 0.3 % of its
size after half of the steps, whatever their number.
"""


class Shrinking:
    """The penalty on the dropped entries of a network's parameters, in place.

    After the optimizer's step number t of T each of them is divided by 1 + p(t), with

        p(t) = STRENGTH / T * x / (1 - x),    x = t / (T + 1),

    which is the proximal step of p(t) / 2 times their squares: L2 as in GReg-1, of which AdamW
    takes as much as SGD does, at any learning rate.  It grows evenly at first, as there, and at
    last beyond what any gradient holds.

    Args:
        model: the network, with what is to go.
        cut: what that is.
        steps: T.
    """

    def __init__(self, model: nn.Module, cut: Cut, steps: int) -> None:
        self._steps = steps
        self._dropped = []
        for (module, name), entries in cut.dropped.items():
            parameter = getattr(model.get_submodule(module), name)
            share = torch.zeros_like(parameter, requires_grad=False)  # laid out as it is
            self._dropped.append((parameter, share.masked_fill_(entries.to(share.device), 1)))

    def step(self, number: int) -> None:
        """Shrink after the optimizer's step of that number, counted from 1."""
        penalty = STRENGTH / self._steps * number / (self._steps + 1 - number)
        for parameter, share in self._dropped:
            parameter.data.addcmul_(parameter.data, share, value=1 / (1 + penalty) - 1)
