"""Channels copied to other positions by an explicit index map.

Shortcuts that pad or drop channels (option A of He et al., 2016) move channel c of one stream to
channel c + offset of the next.  A tracer that ignores the offset of pads and slices would couple
the wrong channels; a ``ChannelMap`` says where each channel comes from.  Its input and output
belong to different units, and pruning either only shortens the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NOWHERE = -1
"""Source of an output channel that is zero."""


class ChannelMap(nn.Module):
    """Output channel o is input channel ``source[o]``, or zero where that is ``NOWHERE``.

    Maps ``(N, inputs, H, W)`` to ``(N, len(source), ceil(H / stride), ceil(W / stride))``.

    Args:
        source: input channel of each output channel.
        inputs: number of input channels.
        stride: step between the rows and columns that are read.

    Raises:
        ValueError: a source is not an input channel.
    """

    source: Tensor

    def __init__(self, source: Sequence[int], inputs: int, stride: int = 1) -> None:
        super().__init__()
        if not all(NOWHERE <= channel < inputs for channel in source):
            raise ValueError(f"sources must be {NOWHERE} or channels below {inputs}: {source}")
        self.inputs, self.stride = inputs, stride
        self.register_buffer("source", torch.tensor(source, dtype=torch.int64))
        self.register_load_state_dict_pre_hook(_stay_as_built)

    def forward(self, x: Tensor) -> Tensor:
        """Pick channels: (B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        return self.picked(x, self.source)

    def picked(self, x: Tensor, source: Tensor) -> Tensor:
        """Pick channels by given sources, (outputs,): (B, inputs, H, W) -> (B, outputs, ...)."""
        x = x[:, :, :: self.stride, :: self.stride]
        # An extra last channel of zeros is what the index -1 selects.
        return F.pad(x, (0, 0, 0, 0, 0, 1))[:, source]

    def extra_repr(self) -> str:
        """Return sizes and stride for the module's ``repr``."""
        return f"{self.inputs}, {len(self.source)}, stride={self.stride}"


def _stay_as_built(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Keep a map as built when a checkpoint has none, because its network computes the shortcut."""
    state.setdefault(f"{prefix}source", module.source)
