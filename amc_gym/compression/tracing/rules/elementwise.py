"""Operations on single values, and copies of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from amc_gym.compression.tracing.labels import ANY, Dimension
from amc_gym.compression.tracing.rules.call import Call, rule


# Pointwise, although PyTorch's tags do not say so; leaky_relu before 2.9.
@rule("copy", "_prelu_kernel", "hardswish", "leaky_relu", "log_sigmoid_forward")
@rule("rrelu_with_noise", "rsub")
def elementwise(call: Call) -> None:
    """Unite channels at equal positions; dimensions of size 1 are broadcast."""
    for out in call.outputs:
        labels: list[Dimension] = []
        for axis in range(out.dim()):
            size = out.shape[axis]
            found: list[Dimension] = []
            for tensor, info in zip(call.tensors, call.infos, strict=True):
                mine = axis - (out.dim() - tensor.dim())
                if mine >= 0 and tensor.shape[mine] == size:
                    found.append(info.labels[mine])
            labels.append(together(call, found, size))
        call.give(out, labels)


def together(call: Call, found: Sequence[Dimension], size: int) -> Dimension:
    """Unite the labels that several operands have for one dimension."""
    known = [each for each in found if each is not None and (each != ANY).any()]
    found = [each for each in found if each is None or (each != ANY).any()]
    if not known:
        return None
    if size > 1 and len(known) < len(found):
        for each in known:
            call.fix(each, "meets positions that are no channels in")
        return None
    for one, other in pairwise(known):
        call.classes.unite(one, other)
    return known[0]


@rule("new_empty", "new_empty_strided")
def made(call: Call) -> None:
    """Label a new tensor that takes only its type from the argument."""
    for tensor in call.outputs:
        call.give(tensor, (None,) * tensor.dim())


@rule("zeros", "ones", "full", "new_zeros", "new_ones", "new_full")
def filled(call: Call) -> None:
    """Label a new tensor of equal values: each dimension may turn out to be one of channels.

    It does in the first state of a recurrent network, whose code has the number of its channels.
    """
    size = call.outputs[0].shape
    call.give_all([call.classes.new(n) if n > 1 else None for n in size])


@rule("as_strided", "as_strided_")
def laid_out(call: Call) -> None:
    """Keep the labels of a copy in another memory layout, if sizes are the same."""
    if call.out.shape == call.shapes[0]:
        call.give(call.out, call.infos[0].labels)
    else:
        call.fix_all("reaches")


@rule(
    "clone",
    "detach",
    "alias",
    "contiguous",
    "lift_fresh",
    "_to_copy",
    "native_dropout",
    "zeros_like",
    "ones_like",
    "empty_like",
    "full_like",
    "rand_like",
    "randn_like",
    "bernoulli",
    "fill",
    "zero",
)
def same(call: Call) -> None:
    """Give the result the labels of the first argument."""
    call.give_all(call.infos[0].labels)
