"""Shrinking before pruning: a growing penalty on the weights that a plan drops.

GReg-1 (Wang et al., 2021, "Neural Pruning via Growing Regularization"): an L2 penalty, on what is
to be pruned only, grows step by step while the network is trained.  The other weights take over the
work of the dropped ones gradually, until these can be removed without any effect.
"""

from __future__ import annotations

import torch
from torch import nn

from amc_gym.compression.pruning.cut import Cut

STRENGTH = 30.0
"""Growth of the penalty.

A dropped weight without a gradient that keeps it is reduced to e^(-30 (ln 2 - 1/2)) = 0.3 % of its
size after half of the steps, whatever their number.
"""


class Shrinking:
    """The penalty on the dropped entries of a network's parameters, applied in place.

    After the optimizer's step t of T each dropped entry is divided by 1 + p(t), with

        p(t) = STRENGTH / T * x / (1 - x),    x = t / (T + 1),

    which is the proximal step of p(t) / 2 times the squared entries: L2 as in GReg-1, but equally
    strong for AdamW and SGD at any learning rate.  It grows evenly at first, as in GReg-1, and
    finally beyond what any gradient can hold.

    Args:
        model: the network, including what is to be dropped.
        cut: what is to be dropped.
        steps: T.
    """

    def __init__(self, model: nn.Module, cut: Cut, steps: int) -> None:
        self._steps = steps
        self._dropped = []
        for (module, name), entries in cut.dropped.items():
            parameter = getattr(model.get_submodule(module), name)
            share = torch.zeros_like(parameter, requires_grad=False)  # same memory layout
            self._dropped.append((parameter, share.masked_fill_(entries.to(share.device), 1)))

    def step(self, number: int) -> None:
        """Shrink the dropped entries after optimizer step ``number``, counted from 1."""
        penalty = STRENGTH / self._steps * number / (self._steps + 1 - number)
        for parameter, share in self._dropped:
            parameter.data.addcmul_(parameter.data, share, value=1 / (1 + penalty) - 1)
