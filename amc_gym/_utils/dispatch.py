"""Modes that see each operation of a network, without an import that takes a second.

PyTorch hides modes from ``torch.compile``, for which it imports ``torch._dynamo`` at the first
operation.  That is not needed here, because the networks are not compiled.
"""

from __future__ import annotations

from typing import Self

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, _FlopCounterMode


class EagerDispatchMode(TorchDispatchMode):
    """A dispatch mode for networks that are not compiled."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class _Operations(EagerDispatchMode, _FlopCounterMode):
    """PyTorch's own mode, without the code that hides it from compilation."""

    __torch_dispatch__ = getattr(
        _FlopCounterMode.__torch_dispatch__, "__wrapped__", _FlopCounterMode.__torch_dispatch__
    )


class FlopCounter(FlopCounterMode):
    """PyTorch's counter of floating-point operations, for networks that are not compiled."""

    def __init__(self) -> None:
        super().__init__(display=False)

    def __enter__(self) -> Self:
        self.flop_counts.clear()
        self.mod_tracker.__enter__()
        self.mode = _Operations(self)
        self.mode.__enter__()
        return self
