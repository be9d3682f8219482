"""Rules that carry labels of channels through ATen operations.

A rule is a function of a ``Call``, registered with ``@rule`` under the names of its operations; the
modules of this package hold one family of operations each.  An operation without a rule fixes
everything that reaches it: these channels stay whole, and the operation is the reason.
"""

from functools import cache
from typing import Any

import torch

from amc_gym._utils.discovery import import_modules
from amc_gym.compression.tracing.rules.call import RULES, Call
from amc_gym.compression.tracing.rules.elementwise import elementwise

import_modules(__name__)


def follow(call: Call) -> None:
    """Carry labels through one operation."""
    rule = RULES.get(call.operation.name.removesuffix("_")) or RULES.get(call.operation.name)
    if rule is not None:
        rule(call)
    elif _is_pointwise(call.func):
        elementwise(call)
    elif not call.tensors:  # a factory
        for tensor in call.outputs:
            call.give(tensor, (None,) * tensor.dim())
    else:
        call.fix_all("reaches")


@cache
def _is_pointwise(operation: Any) -> bool:
    """Whether PyTorch says so of an operation, or of the one that does the same not in place."""
    if torch.Tag.pointwise in operation.tags:
        return True
    namespace, name = operation._schema.name.split("::")
    copying = getattr(getattr(torch.ops, namespace), name.removesuffix("_"), None)
    if not name.endswith("_") or copying is None:
        return False
    overloads = (getattr(copying, overload) for overload in copying.overloads())
    return any(torch.Tag.pointwise in overload.tags for overload in overloads)
