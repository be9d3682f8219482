"""Norms over channels in a masked network, with statistics of the kept channels only.

Such a norm reads all channels that it normalises.  A slim network takes its statistics over the
kept channels, so a masked network has to do the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from amc_gym._utils.dispatch import EagerDispatchMode
from amc_gym.compression.cost import attention_in_steps


class MaskedNorms(EagerDispatchMode):
    """A mode in which layer norms leave out channels, wherever they are called.

    Args:
        kept: pairs of a norm's weight and the positions that it keeps, in ascending order.
    """

    def __init__(self, kept: Iterable[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self._kept = WeakTensorKeyDictionary()
        for weight, positions in kept:
            self._kept[weight] = positions

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
        if func == torch.ops.aten._to_copy.default and args[0] in self._kept:
            converted = func(*args, **(kwargs or {}))
            self._kept[converted] = self._kept[args[0]]
            return converted
        if func != torch.ops.aten.native_layer_norm.default or args[2] not in self._kept:
            return func(*args, **(kwargs or {}))
        x, _, weight, bias, eps = args
        positions = self._kept[weight]
        weight, bias = (t if t is None else t[positions] for t in (weight, bias))
        out, *statistics = func(x[..., positions], [len(positions)], weight, bias, eps)
        return (torch.zeros_like(x).index_copy(-1, positions, out), *statistics)


class Narrowed:
    """A forward hook that does for a norm that runs in steps what ``MaskedNorms`` does.

    Args:
        norm: the module of the slim network.
        dimension: of its input, with the channels.
        positions: the channels that it keeps, in its order.
    """

    def __init__(self, norm: nn.Module, dimension: int, positions: Tensor) -> None:
        self._norm, self._dimension, self._positions = norm, dimension, positions

    def __call__(self, _module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Run the slim norm on the kept channels; the others become zero."""
        positions = self._positions.to(output.device)
        out = self._norm(args[0].index_select(self._dimension, positions))
        return torch.zeros_like(output).index_copy(self._dimension, positions, out)
