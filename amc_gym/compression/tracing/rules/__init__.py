"""Rules that carry labels of channels through ATen operations.

A rule is a function of a ``Call``, registered with ``@rule`` under the names of its operations; the
modules of this package hold one family of operations each.  An operation without a rule fixes
everything that reaches it: these channels stay whole, and the operation is the reason.
"""

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
    elif torch.Tag.pointwise in call.func.tags:
        elementwise(call)
    elif not call.tensors:  # a factory
        for tensor in call.outputs:
            call.give(tensor, (None,) * tensor.dim())
    else:
        call.fix_all("reaches")
