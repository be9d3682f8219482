"""Operations that reorder, join, split, repeat and shuffle dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from amc_gym.compression.tracing.labels import ANY, Dimension
from amc_gym.compression.tracing.rules.call import Call, rule


@rule("permute", "t", "transpose", "numpy_T", "movedim", "swapaxes")
def permuted(call: Call) -> None:
    """Permute the labels of the dimensions."""
    labels = list(call.infos[0].labels)
    total = len(labels)
    if call.operation.name == "permute":
        order = [axis % total for axis in call.bound["dims"]]
    else:
        order = list(range(total))
        one, other = (call.bound.get("dim0", 0), call.bound.get("dim1", total - 1))
        if total > 1:
            order[one], order[other] = order[other], order[one]
    call.give(call.out, [labels[axis] for axis in order])


@rule("unsqueeze")
def unsqueezed(call: Call) -> None:
    """Insert a dimension of size 1."""
    labels = list(call.infos[0].labels)
    labels.insert(call.bound["dim"] % (len(labels) + 1), None)
    call.give(call.out, labels)


@rule("squeeze")
def squeezed(call: Call) -> None:
    """Remove dimensions of size 1."""
    shape, labels = call.tensors[0].shape, call.infos[0].labels
    dims = call.bound.get("dim")
    if dims is None:
        dims = range(len(shape))
    chosen = {d % len(shape) for d in ([dims] if isinstance(dims, int) else dims)}
    call.give(
        call.out,
        [each for axis, each in enumerate(labels) if not (axis in chosen and shape[axis] == 1)],
    )


@rule("expand", "repeat")
def repeated(call: Call) -> None:
    """Repeat the labels as the tensor is repeated."""
    labels, shape = call.infos[0].labels, call.tensors[0].shape
    new = call.out.dim() - len(labels)
    made: list[Dimension] = [None] * new
    for axis, (dimension, size) in enumerate(zip(labels, shape, strict=True)):
        times = call.out.shape[new + axis] // max(size, 1)
        if dimension is None and size == 1 < times:
            made.append(np.full(times, ANY))
        else:
            made.append(dimension if dimension is None or times == 1 else np.tile(dimension, times))
    call.give(call.out, made)


@rule("view", "_unsafe_view", "reshape", "_reshape_alias", "unflatten", "flatten")
def reshaped(call: Call) -> None:
    """Join and split dimensions."""
    before, labels = list(call.tensors[0].shape), call.infos[0].labels
    after = list(call.out.shape)
    if 0 in before:  # positions do not tell which dimensions belong together
        call.fix_all("reaches")
        return
    made: list[Dimension] = []
    for inside, outside in _blocks(before, after):
        made += _reshape_block(
            call,
            [labels[axis] for axis in inside],
            [before[axis] for axis in inside],
            [after[axis] for axis in outside],
        )
    call.give(call.out, made)


def _blocks(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Return the smallest runs of dimensions with equally many values before and after."""
    blocks, i, j = [], 0, 0
    while i < len(before) or j < len(after):
        inside, outside, one, other = [], [], 1, 1
        while True:
            if one <= other and i < len(before) and (one < other or not inside):
                one *= before[i]
                inside.append(i)
                i += 1
            elif j < len(after) and (other < one or not outside):
                other *= after[j]
                outside.append(j)
                j += 1
            else:
                break
        blocks.append((inside, outside))
    return blocks


def _reshape_block(
    call: Call, labels: Sequence[Dimension], before: Sequence[int], after: Sequence[int]
) -> list[Dimension]:
    """Return the labels of the dimensions that a run of dimensions becomes."""
    held = [axis for axis, each in enumerate(labels) if each is not None and before[axis] > 1]
    if len(held) > 1:  # positions next to a class token have labels, all of them fixed
        held = [axis for axis in held if not call.classes.all_fixed(labels[axis])]
    if not held:
        return [None] * len(after)
    if len(held) > 1:
        for axis in held:
            call.fix(labels[axis], "is joined with another dimension of channels by")
        return [None] * len(after)
    (axis,) = held
    mine = labels[axis]
    assert mine is not None
    flat = np.tile(np.repeat(mine, prod(before[axis + 1 :])), prod(before[:axis]))
    return _split(call, flat.reshape(after))


def _split(call: Call, labels: np.ndarray) -> list[Dimension]:
    """Return labels of several dimensions, with channels in the last dimension that varies.

    If labels vary along others too, channels that lie side by side are coupled, so that numbers of
    groups, heads or parts in the network's code remain valid.
    """
    made: list[Dimension] = [None] * labels.ndim
    roots = call.classes.roots(labels)
    varying = [axis for axis in range(labels.ndim) if (roots != roots.take([0], axis=axis)).any()]
    if not varying:
        return made
    holder = varying[-1]
    across = np.moveaxis(labels, holder, -1).reshape(-1, labels.shape[holder])
    for row in across[1:]:
        call.classes.unite(across[0], row)
    made[holder] = across[0]
    return made


@rule("pixel_shuffle")
def pixel_shuffled(call: Call) -> None:
    """Turn runs of channels into the pixels of one channel each."""
    labels, factor = list(call.infos[0].labels), call.bound["upscale_factor"]
    if (channels := labels[-3]) is not None:
        runs = channels.reshape(-1, factor**2)
        for column in range(1, factor**2):
            call.classes.unite(runs[:, 0], runs[:, column])
        labels[-3] = runs[:, 0]
    call.give(call.out, labels)


@rule("pixel_unshuffle")
def pixel_unshuffled(call: Call) -> None:
    """Turn the pixels of a channel into a run of channels."""
    labels, factor = list(call.infos[0].labels), call.bound["downscale_factor"]
    if labels[-3] is not None:
        labels[-3] = np.repeat(labels[-3], factor**2)
    call.give(call.out, labels)


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffled(call: Call) -> None:
    """Interleave groups of channels; channels at equal places in the groups are coupled."""
    labels, groups = list(call.infos[0].labels), call.bound["groups"]
    if (channels := labels[1]) is not None:
        rows = channels.reshape(groups, -1)
        for row in rows[1:]:
            call.classes.unite(rows[0], row)
        labels[1] = rows.T.reshape(-1)
    call.give(call.out, labels)
