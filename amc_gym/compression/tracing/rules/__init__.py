"""Rules that carry labels of channels through ATen operations.

A rule is a function of a ``Call``, registered with ``@rule`` under the names of its operations;
each module of this package holds one family of operations.  An operation without a rule fixes
everything that reaches it: these channels stay whole, with the operation as the reason.
"""

from functools import cache
from typing import Any

import torch

from amc_gym._utils.discovery import import_modules
from amc_gym.compression.tracing.rules.call import RULES, Call
from amc_gym.compression.tracing.rules.elementwise import elementwise

import_modules(__name__)


def follow(call: Call) -> None:
    """Apply the rule of an operation to its labels."""
    rule = RULES.get(call.operation.name.removesuffix("_")) or RULES.get(call.operation.name)
    if rule is not None:
        rule(call)
    elif _is_pointwise(call.func):
        elementwise(call)
    elif not call.tensors:  # creates a tensor from nothing
        for tensor in call.outputs:
            call.give(tensor, (None,) * tensor.dim())
    else:
        call.fix_all("reaches")


@cache
def _is_pointwise(operation: Any) -> bool:
    """Return whether PyTorch tags an operation, or its out-of-place form, as pointwise."""
    if torch.Tag.pointwise in operation.tags:
        return True
    namespace, name = operation._schema.name.split("::")
    copying = getattr(getattr(torch.ops, namespace), name.removesuffix("_"), None)
    if not name.endswith("_") or copying is None:
        return False
    overloads = (getattr(copying, overload) for overload in copying.overloads())
    return any(torch.Tag.pointwise in overload.tags for overload in overloads)
