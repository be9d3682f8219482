"""A mode in which networks compute in float64 throughout."""

from __future__ import annotations

import torch

from amc_gym._utils.dispatch import EagerDispatchMode

SHORTER = (torch.float32, torch.bfloat16, torch.float16)


class InFloat64(EagerDispatchMode):
    """A mode that reads float64 wherever a network's code names a shorter type of floats.

    Code that normalises or attends in float32 for safety would hide small differences behind its
    rounding, and could not run on the weights of a network in float64.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Replace the type that a conversion, or a new tensor, is to have."""
        kwargs = dict(kwargs or {})
        if kwargs.get("dtype") in SHORTER:
            kwargs["dtype"] = torch.float64
        return func(*args, **kwargs)
