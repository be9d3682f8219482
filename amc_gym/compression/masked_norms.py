"""Layer norms in a masked network: statistics of the channels that stay.

A layer norm reads every channel that it normalises.  In a network without some of them it takes its
statistics over the others, so that is what masking them means.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from amc_gym._utils.dispatch import Watching
from amc_gym.compression.cost import attention_in_steps


class MaskedNorms(Watching):
    """Has layer norms leave out channels, whoever calls them.

    Args:
        kept: identity of a norm's weight -> positions that stay, ascending.
    """

    def __init__(self, kept: Mapping[int, Tensor]) -> None:
        super().__init__()
        self._kept = kept

    def watch(self, network: nn.Module) -> None:
        """Have the mode on whenever a network runs; fused transformer layers run in steps."""
        running = ExitStack()

        def enter(*_: object) -> None:
            running.enter_context(attention_in_steps())
            running.enter_context(self)

        network.register_forward_pre_hook(enter, prepend=True)
        network.register_forward_hook(lambda *_: running.close(), always_call=True)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Take the statistics of what stays; the channels that are left out become zero."""
        if func != torch.ops.aten.native_layer_norm.default or id(args[2]) not in self._kept:
            return func(*args, **(kwargs or {}))
        x, _, weight, bias, eps = args
        positions = self._kept[id(weight)]
        weight, bias = (t if t is None else t[positions] for t in (weight, bias))
        out, *statistics = func(x[..., positions], [len(positions)], weight, bias, eps)
        return (torch.zeros_like(x).index_copy(-1, positions, out), *statistics)
