"""Operations that join tensors along a dimension, or cut a dimension into parts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import gcd

import numpy as np

from amc_gym.compression.tracing.labels import Dimension
from amc_gym.compression.tracing.rules.call import Call, rule
from amc_gym.compression.tracing.rules.elementwise import together


@rule("cat")
def concatenated(call: Call) -> None:
    """Concatenate the labels of one dimension, and unite those of the others."""
    tensors = [tensor for tensor in call.bound["tensors"] if tensor.numel() or tensor.dim() > 1]
    labels = [call.labels(tensor) for tensor in tensors]
    axis = (call.bound.get("dim") or 0) % call.out.dim()
    made: list[Dimension] = []
    for dimension, size in enumerate(call.out.shape):
        found = [each[dimension] for each in labels]
        if dimension != axis:
            made.append(together(call, found, size))
        elif all(each is None for each in found):
            made.append(None)
        else:
            made.append(
                np.concatenate(
                    [
                        call.classes.new(
                            tensor.shape[axis], f"holds no channels in {call.operation}"
                        )
                        if each is None
                        else each
                        for each, tensor in zip(found, tensors, strict=True)
                    ]
                )
            )
    call.give(call.out, made)


@rule("stack")
def stacked(call: Call) -> None:
    """Unite equal positions; the new dimension holds no channels."""
    found = [call.labels(tensor) for tensor in call.bound["tensors"]]
    sizes = call.bound["tensors"][0].shape
    made = [together(call, [each[axis] for each in found], size) for axis, size in enumerate(sizes)]
    made.insert((call.bound.get("dim") or 0) % call.out.dim(), None)
    call.give(call.out, made)


@rule("split", "split_with_sizes", "chunk", "unsafe_chunk", "unsafe_split", "tensor_split")
def parted(call: Call) -> None:
    """Split a dimension into parts, which have to keep their proportions."""
    labels, axis = list(call.infos[0].labels), call.bound.get("dim") or 0
    sizes = [part.shape[axis] for part in call.out]
    starts = np.cumsum([0, *sizes])
    if (mine := labels[axis]) is not None:
        _in_proportion(call, mine, starts)
    for part, (start, stop) in zip(call.out, pairwise(starts), strict=True):
        labels[axis] = None if mine is None else mine[start:stop]
        call.give(part, labels)


def _in_proportion(call: Call, labels: np.ndarray, bounds: Sequence[int] | np.ndarray) -> None:
    """Make the parts between bounds keep their share of the whole dimension.

    A bound with only fixed channels before it, or after it, stays where it is.
    """
    moving = [
        int(bound)
        for bound in bounds
        if not call.classes.all_fixed(labels[:bound]) and not call.classes.all_fixed(labels[bound:])
    ]
    size = gcd(*moving, len(labels))
    if 0 < size < len(labels):
        call.classes.keep_equal(labels.reshape(-1, size), f"is cut by {call.operation}")


@rule("unbind")
def unbound(call: Call) -> None:
    """Fix a dimension whose positions are taken apart."""
    labels = list(call.infos[0].labels)
    axis = (call.bound.get("dim") or 0) % len(labels)
    call.fix(labels.pop(axis), "is taken apart by")
    for part in call.out:
        call.give(part, labels)


@rule("select")
def selected(call: Call) -> None:
    """Fix a dimension of which one position is selected."""
    labels = list(call.infos[0].labels)
    call.fix(labels.pop(call.bound["dim"] % len(labels)), "is taken apart by")
    call.give(call.out, labels)


@rule("slice", "narrow")
def sliced(call: Call) -> None:
    """Slice a dimension into a run, which has to keep its proportion."""
    labels = list(call.infos[0].labels)
    axis, size = call.bound.get("dim") or 0, call.tensors[0].shape[call.bound.get("dim") or 0]
    start = call.bound.get("start") or 0
    start = max(0, min(start if start >= 0 else start + size, size))
    stop = start + call.out.shape[axis]
    if (mine := labels[axis]) is not None and call.out.shape[axis] != size:
        if (step := call.bound.get("step") or 1) != 1:
            labels[axis] = _every(call, mine, start, step)
        else:
            _in_proportion(call, mine, (0, start, stop))
            labels[axis] = mine[start:stop]
    call.give(call.out, labels)


def _every(call: Call, labels: np.ndarray, start: int, step: int) -> Dimension:
    """Return every ``step``-th label; runs of that length are pruned together."""
    if start >= step or len(labels) % step or call.out.shape.numel() == 0:
        call.fix(labels, "is taken apart by")
        return None
    runs = labels.reshape(-1, step)
    for column in range(1, step):
        call.classes.unite(runs[:, 0], runs[:, column])
    return labels[start::step]


@rule("flip", "roll")
def moved(call: Call) -> None:
    """Fix the channels of a dimension whose positions change places."""
    labels = list(call.infos[0].labels)
    for axis in call.bound.get("dims") or range(len(labels)):
        call.fix(labels[axis], "changes places in")
    call.give(call.out, labels)


@rule("glu")
def gated(call: Call) -> None:
    """Couple the halves of a dimension, one of which gates the other."""
    labels, axis = list(call.infos[0].labels), call.bound["dim"]
    if (mine := labels[axis]) is not None:
        half = len(mine) // 2
        call.classes.unite(mine[:half], mine[half:])
        labels[axis] = mine[:half]
    call.give(call.out, labels)


@rule("constant_pad_nd")
def padded(call: Call) -> None:
    """Add fixed labels for the constants before and after a dimension."""
    labels, pad = list(call.infos[0].labels), call.bound["pad"]
    for number, (before, behind) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        axis = len(labels) - 1 - number
        mine = labels[axis]
        if mine is None or not (before or behind):
            continue
        if min(before, behind) < 0:
            call.fix(mine, "is cut off by")
            labels[axis] = None
            continue
        reason = f"is padding of {call.operation}"
        labels[axis] = np.concatenate(
            [call.classes.new(before, reason), mine, call.classes.new(behind, reason)]
        )
    call.give(call.out, labels)
