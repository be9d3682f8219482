"""Layer norms in a masked network, with statistics of the kept channels only.

A layer norm reads all channels that it normalises.  A slim network takes its statistics over the
kept channels, so a masked network has to do the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from amc_gym._utils.dispatch import EagerDispatchMode
from amc_gym.compression.cost import attention_in_steps


class MaskedNorms(EagerDispatchMode):
    """A mode in which layer norms leave out channels, wherever they are called.

    Args:
        kept: identity of a norm's weight -> kept positions, in ascending order.
    """

    def __init__(self, kept: Mapping[int, Tensor]) -> None:
        super().__init__()
        self._kept = kept

    def watch(self, network: nn.Module) -> None:
        """Turn the mode on whenever a network runs, with fused transformer layers run in steps."""
        running = ExitStack()

        def enter(*_: object) -> None:
            running.enter_context(attention_in_steps())
            running.enter_context(self)

        network.register_forward_pre_hook(enter, prepend=True)
        network.register_forward_hook(lambda *_: running.close(), always_call=True)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Normalise by the statistics of the kept channels; the others become zero."""
        if func != torch.ops.aten.native_layer_norm.default or id(args[2]) not in self._kept:
            return func(*args, **(kwargs or {}))
        x, _, weight, bias, eps = args
        positions = self._kept[id(weight)]
        weight, bias = (t if t is None else t[positions] for t in (weight, bias))
        out, *statistics = func(x[..., positions], [len(positions)], weight, bias, eps)
        return (torch.zeros_like(x).index_copy(-1, positions, out), *statistics)
