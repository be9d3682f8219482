"""A mode in which networks compute in float64 throughout."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from amc_gym._utils.dispatch import EagerDispatchMode

SHORTER = (torch.float32, torch.bfloat16, torch.float16)


class InFloat64(EagerDispatchMode):
    """A mode that reads float64 wherever a network's code has a shorter type of floats.

    Code that normalises or attends in float32 for safety would hide small differences behind its
    rounding.  Nor could it run on the weights of a network in float64, and neither could code with
    tensors that are no buffers, or with numbers that have been integers.

    Attributes:
        converted: whether there was anything to convert.
    """

    def __init__(self) -> None:
        super().__init__()
        self.converted = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Convert what an operation gets, names as its type, and returns."""
        kwargs = dict(kwargs or {})
        if kwargs.get("dtype") in SHORTER:
            kwargs["dtype"], self.converted = torch.float64, True
        if func._schema.is_mutable:  # what is written to in place has to stay what it is
            return func(*args, **kwargs)
        args, kwargs = tree_map(self._longer, (args, kwargs))
        return tree_map(self._longer, func(*args, **kwargs))

    def _longer(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dtype not in SHORTER:
            return value
        self.converted = True
        return value.double()
