"""Norms over several channels in a masked network: statistics of the channels that stay.

A layer norm or group norm reads every channel that it normalises.  In a network without some of
them it takes its statistics over the others, so that is what masking them means.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from amc_gym.compression.cost import attention_in_steps

aten = torch.ops.aten


class MaskedNorms(TorchDispatchMode):
    """Has norms leave out channels, whoever calls them.

    Args:
        kept: identity of a norm's weight -> (dimension of the weight, positions that stay).
    """

    def __init__(self, kept: Mapping[int, tuple[int, Tensor]]) -> None:
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
        kwargs = kwargs or {}
        over = _OVER.get(func)
        if over is None or (weight := args[over]) is None or id(weight) not in self._kept:
            return func(*args, **kwargs)
        dimension, positions = self._kept[id(weight)]
        x = args[0]
        axis = 1 if func == aten.native_group_norm.default else x.dim() - weight.dim() + dimension
        fewer = [
            part.index_select(axis if part is x else dimension, positions)
            if isinstance(part, Tensor)
            else part
            for part in args
        ]
        if func == aten.native_group_norm.default:
            fewer[4] = len(positions)
            if args[6] == args[4]:  # each channel is a group
                fewer[6] = len(positions)
        else:
            fewer[1] = list(fewer[over].shape)
        out = func(*fewer, **kwargs)
        return _put_back(out, x, axis, positions)


def _put_back(out: Any, x: Tensor, axis: int, positions: Tensor) -> Any:
    """Results of all channels, zero where one is left out."""
    first = out[0] if isinstance(out, tuple) else out
    whole = torch.zeros_like(x).index_copy(axis, positions, first)
    return (whole, *out[1:]) if isinstance(out, tuple) else whole


_OVER = {
    aten.native_layer_norm.default: 2,
    aten.native_group_norm.default: 1,
    aten._fused_rms_norm.default: 2,
}
"""Norms over several channels -> place of their weight among the arguments."""
