"""What each ATen operation does with the channels that it is given.

A rule is a function of a ``Call``.  An operation without a rule fixes everything that reaches it:
these channels stay whole, and the operation is the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import gcd, prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from amc_gym.compression.slim import WEIGHTED
from amc_gym.compression.tracing.labels import Dimension, Labelled, Labels
from amc_gym.compression.tracing.record import Info, Operation, Use

if TYPE_CHECKING:
    from amc_gym.compression.tracing.tracer import Tracer

Rule = Callable[["Call"], None]
RULES: dict[str, Rule] = {}


@dataclass
class Call:
    """One executed operation, its arguments and its result."""

    tracer: Tracer
    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    operation: Operation
    tensors: list[Tensor]
    infos: list[Info]

    @cached_property
    def bound(self) -> dict[str, Any]:
        """Arguments by name, defaults filled in."""
        schema = self.func._schema.arguments
        values = {argument.name: argument.default_value for argument in schema}
        values |= {argument.name: value for argument, value in zip(schema, self.args, strict=False)}
        return values | self.kwargs

    @property
    def classes(self) -> Labels:
        """The classes of channels."""
        return self.tracer.trace.labels

    @property
    def outputs(self) -> list[Tensor]:
        """Tensors among the results."""
        return [leaf for leaf in tree_leaves(self.out) if isinstance(leaf, Tensor)]

    def labels(self, tensor: Tensor) -> Labelled:
        """Labels of an argument."""
        return self.tracer.info(tensor).labels

    def give(self, tensor: Tensor, labels: Sequence[Dimension]) -> None:
        """Label a result."""
        assert len(labels) == tensor.dim(), (self.operation, len(labels), tensor.shape)
        parameters = frozenset().union(*(info.parameters for info in self.infos))
        origins = {
            info.constant
            for tensor, info in zip(self.tensors, self.infos, strict=True)
            if info.constant is not None or tensor.numel() > 1  # numbers say nothing
        }
        constant = False if False in origins else True if origins == {True} else None
        self.tracer.know(tensor, tuple(labels), constant=constant, parameters=parameters)

    def give_all(self, labels: Sequence[Dimension]) -> None:
        """Label every result alike; those of another number of dimensions hold no channels."""
        for tensor in self.outputs:
            fits = len(labels) == tensor.dim() and all(
                each is None or len(each) == size
                for each, size in zip(labels, tensor.shape, strict=True)
            )
            self.give(tensor, labels if fits else (None,) * tensor.dim())

    def fix(self, dimension: Dimension, what: str = "") -> None:
        """Never prune the channels of a dimension."""
        self.classes.fix(dimension, f"{what or 'reaches'} {self.operation}")

    def fix_all(self, what: str = "") -> None:
        """Never prune anything that reaches this operation."""
        for info in self.infos:
            for dimension in info.labels:
                self.fix(dimension, what)
        for tensor in self.outputs:
            self.give(tensor, (None,) * tensor.dim())

    def unite(self, one: Dimension, other: Dimension) -> Dimension:
        """Channels of two dimensions that belong together, position by position."""
        if one is None or other is None:
            self.fix(one, "meets positions that are no channels in")
            self.fix(other, "meets positions that are no channels in")
            return None
        self.classes.unite(one, other)
        return one


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


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for operations of these names."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


# --- value by value ---------------------------------------------------------------------------


@rule("copy", "_prelu_kernel", "hardswish", "log_sigmoid_forward", "rsub", "rrelu_with_noise")
def elementwise(call: Call) -> None:
    """Channels of equal positions belong together; dimensions of size 1 are broadcast."""
    for out in call.outputs:
        labels: list[Dimension] = []
        for axis in range(out.dim()):
            size = out.shape[axis]
            found: list[Dimension] = []
            for tensor, info in zip(call.tensors, call.infos, strict=True):
                mine = axis - (out.dim() - tensor.dim())
                if mine >= 0 and tensor.shape[mine] == size:
                    found.append(info.labels[mine])
            labels.append(_together(call, found, size))
        call.give(out, labels)


def _together(call: Call, found: Sequence[Dimension], size: int) -> Dimension:
    """Unite what several operands say of one dimension."""
    known = [each for each in found if each is not None]
    if not known:
        return None
    if size > 1 and len(known) < len(found):
        for each in known:
            call.fix(each, "meets positions that are no channels in")
        return None
    for one, other in pairwise(known):
        call.classes.unite(one, other)
    return known[0]


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
    """The result has the labels of the first argument."""
    call.give_all(call.infos[0].labels)


# --- along a dimension ------------------------------------------------------------------------


@rule(
    "sum",
    "mean",
    "amax",
    "amin",
    "max",
    "min",
    "var",
    "std",
    "var_mean",
    "std_mean",
    "prod",
    "argmax",
    "argmin",
    "any",
    "all",
    "logsumexp",
    "norm",
    "linalg_vector_norm",
    "median",
)
def reduction(call: Call) -> None:
    """What is reduced over has to stay whole."""
    if len(call.tensors) > 1:  # torch.max of two tensors
        elementwise(call)
        return
    info, dims = call.infos[0], call.bound.get("dim")
    total = len(info.labels)
    if dims is None or (isinstance(dims, Sequence) and not dims):
        dims = range(total)
    chosen = {d % max(total, 1) for d in ([dims] if isinstance(dims, int) else dims)}
    for axis in chosen:
        if total:
            call.fix(info.labels[axis], "is summed up or compared in")
    keep = call.bound.get("keepdim", False)
    labels = [
        None if axis in chosen else dimension
        for axis, dimension in enumerate(info.labels)
        if keep or axis not in chosen
    ]
    call.give_all(labels)


@rule("_softmax", "_log_softmax", "softmax", "cumsum", "cumprod", "logcumsumexp", "sort", "topk")
def along(call: Call) -> None:
    """What is normalised or added up along a dimension has to stay whole in it."""
    labels = list(call.infos[0].labels)
    axis = call.bound["dim"]
    call.fix(labels[axis], "is normalised or ordered in")
    labels[axis] = None
    call.give_all(labels)


@rule("glu")
def gated(call: Call) -> None:
    """One half of a dimension is multiplied by the other one's sigmoid."""
    labels, axis = list(call.infos[0].labels), call.bound["dim"]
    if (mine := labels[axis]) is not None:
        half = len(mine) // 2
        call.classes.unite(mine[:half], mine[half:])
        labels[axis] = mine[:half]
    call.give(call.out, labels)


SPATIAL = {
    "max_pool1d": 1,
    "max_pool2d_with_indices": 2,
    "max_pool3d_with_indices": 3,
    "max_pool2d": 2,
    "avg_pool1d": 1,
    "avg_pool2d": 2,
    "avg_pool3d": 3,
    "adaptive_avg_pool1d": 1,
    "_adaptive_avg_pool2d": 2,
    "_adaptive_avg_pool3d": 3,
    "adaptive_max_pool2d": 2,
    "adaptive_max_pool3d": 3,
    "reflection_pad1d": 1,
    "reflection_pad2d": 2,
    "replication_pad1d": 1,
    "replication_pad2d": 2,
    "upsample_nearest1d": 1,
    "upsample_linear1d": 1,
    "upsample_nearest2d": 2,
    "_upsample_nearest_exact2d": 2,
    "upsample_bilinear2d": 2,
    "upsample_bicubic2d": 2,
    "_upsample_bilinear2d_aa": 2,
    "upsample_nearest3d": 3,
    "upsample_trilinear3d": 3,
}
"""Operations on feature maps, channel by channel -> how many of the last dimensions they change."""


@rule(*SPATIAL)
def spatial(call: Call) -> None:
    """Channels pass; a dimension that is pooled or resized holds none."""
    changed, labels = SPATIAL[call.operation.name], list(call.infos[0].labels)
    for axis in range(len(labels) - changed, len(labels)):
        call.fix(labels[axis], "is pooled or resized in")
        labels[axis] = None
    call.give_all(labels)


# --- weights ----------------------------------------------------------------------------------


@rule("convolution", "_convolution", "mkldnn_convolution", "cudnn_convolution")
def convolution(call: Call) -> None:
    """The inputs' channels are those of the weight's second dimension; its first one's come out."""
    x, weight, bias = (call.bound[name] for name in ("input", "weight", "bias"))
    groups, transposed = call.bound["groups"], call.bound.get("transposed", False)
    inputs, kernel = call.labels(x)[1], call.labels(weight)
    if inputs is None:
        inputs = call.classes.new(x.shape[1], f"reads no channels in {call.operation}")
    for dimension in (call.labels(x)[0], *call.labels(x)[2:], *kernel[2:]):
        call.fix(dimension, "is convolved over in")
    rows, columns = (kernel[1], kernel[0]) if transposed else (kernel[0], kernel[1])
    if rows is None or columns is None:  # a constant that is no parameter
        call.fix(inputs, "is convolved with a constant in")
        rows = call.classes.new(call.out.shape[1], f"is made by a constant in {call.operation}")
        columns = call.classes.new(weight.shape[0 if transposed else 1], "constant")
    multiplier = 0
    if groups == 1:
        call.classes.unite(inputs, columns)
    elif groups == len(inputs) and not transposed:  # depthwise
        multiplier = len(rows) // groups
        call.classes.unite(np.repeat(inputs, multiplier), rows)
    elif groups == len(inputs) and len(rows) == 1:
        call.classes.unite(inputs, columns)
        rows, multiplier = inputs, 1
    elif transposed:
        call.fix(inputs, "enters a grouped transposed convolution,")
        rows = call.classes.new(call.out.shape[1], f"leaves the grouped {call.operation}")
    else:
        call.fix(columns, "grouped")
        for dimension in (inputs, rows):
            call.classes.keep_equal(
                dimension.reshape(groups, -1), f"groups of {call.operation} keep equally many"
            )
    if bias is not None and (own := call.labels(bias)[0]) is not None:
        call.classes.unite(own, rows)
    call.give(call.out, (call.labels(x)[0], rows, *[None] * (x.dim() - 2)))
    mixed = None if multiplier else inputs
    _used(call, x, weight, mixed, rows, 1 if multiplier else groups, multiplier)


@rule("mm", "addmm", "bmm", "baddbmm", "mv", "addmv")
def product(call: Call) -> None:
    """The dimension that is summed over is the same for both factors."""
    added, one, other = [None, *call.args][-3:] if len(call.args) < 3 else call.args[:3]
    first, second = call.labels(one), call.labels(other)
    mixed = call.unite(first[-1], second[-2] if other.dim() > 1 else second[0])
    batch = call.unite(first[0], second[0]) if one.dim() == 3 and _any(first, second) else None
    labels = [first[-2], *([second[-1]] if other.dim() > 1 else [])]
    if one.dim() == 3:
        labels.insert(0, batch)
    call.give(call.out, labels)
    if isinstance(added, Tensor):
        for own, made in zip(call.labels(added)[::-1], labels[::-1], strict=False):
            if own is not None and (made is None or len(own) == len(made)):
                call.unite(own, made)
    infos = call.tracer.info(one), call.tracer.info(other)
    if (infos[0].constant is True) == (infos[1].constant is True):
        for dimension in (*first, *second):
            call.fix(dimension, "is multiplied without a weight in")
        return
    weight, x = (one, other) if infos[0].constant is True else (other, one)
    for dimension in first[:-1] if x is one else (*second[:-2], *second[-1:]):
        call.fix(dimension, "is multiplied row by row in")  # their number multiplies the cost
    rows = labels[-2] if weight is one else labels[-1]
    if mixed is None:
        mixed = call.classes.new(x.shape[-1], f"reads no channels in {call.operation}")
    if rows is None:
        rows = call.classes.new(weight.shape[-1], f"makes no channels in {call.operation}")
    _used(call, x, weight, mixed, rows, 1, 0)


def _any(*labels: Labelled) -> bool:
    return any(each[0] is not None for each in labels)


def _used(
    call: Call,
    x: Tensor,
    weight: Tensor,
    inputs: Dimension,
    outputs: np.ndarray,
    groups: int,
    multiplier: int,
) -> None:
    """Take note of the layer whose weight was used; without one, its inputs stay whole."""
    tracer = call.tracer
    names = tracer.info(weight).parameters
    running, module = tracer.running[-1]
    inside = isinstance(module, WEIGHTED) and bool(names)
    inside = inside and all(name.startswith(f"{running}." if running else "") for name in names)
    layer = running if inside else _holder(tracer, names)
    use = Use(
        layer or ", ".join(sorted(names)) or "a constant",
        inside,
        len(tracer.trace.operations) - 1,
        inputs,
        outputs,
        groups,
        multiplier,
        tuple(x.shape),
        tuple(call.out.shape),
    )
    if layer is not None:
        tracer.trace.uses.append(use)
        return
    # There is no layer to rank channels by, so that none of its inputs can be pruned.
    reason = f"mixed by {use.layer!r}, which no convolution or linear layer holds, in"
    call.fix(inputs if inputs is not None else outputs, reason)
    tracer.trace.free.append(use)


def _holder(tracer: Tracer, names: frozenset[str]) -> str | None:
    """The one layer whose weight a tensor was made from, used by another module."""
    holders = {name.partition(".parametrizations.")[0].rpartition(".")[0] for name in names}
    if len(holders) != 1:
        return None
    (holder,) = holders
    module = tracer.model.get_submodule(holder)
    return holder if isinstance(module, WEIGHTED) else None


@rule("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
      "cudnn_batch_norm", "_batch_norm_with_update", "_batch_norm_no_update")  # fmt: skip
def batch_norm(call: Call) -> None:
    """Each channel by itself."""
    labels = list(call.infos[0].labels)
    for tensor in call.tensors[1:]:
        if tensor.dim() == 1 and tensor.shape[0] == call.tensors[0].shape[1]:
            labels[1] = call.unite(labels[1], call.labels(tensor)[0])
    call.give_all(labels)


@rule("native_group_norm")
def group_norm(call: Call) -> None:
    """Statistics over groups of channels: all of them stay, unless each is a group."""
    labels = list(call.infos[0].labels)
    for tensor in call.tensors[1:]:
        labels[1] = call.unite(labels[1], call.labels(tensor)[0])
    if call.bound["group"] != call.bound["C"]:
        call.fix(labels[1], "is normalised together with other channels in")
    call.give_all(labels)


@rule("native_layer_norm", "_fused_rms_norm", "rms_norm")
def layer_norm(call: Call) -> None:
    """What is normalised over has to stay whole."""
    labels = list(call.infos[0].labels)
    over = len(call.bound["normalized_shape"])
    for tensor in call.tensors[1:]:
        for axis, own in enumerate(call.labels(tensor)):
            call.unite(own, labels[len(labels) - over + axis])
    for axis in range(len(labels) - over, len(labels)):
        call.fix(labels[axis], "is normalised together with other channels in")
    call.give_all(labels)


@rule("_weight_norm_interface", "_weight_norm")
def weight_norm(call: Call) -> None:
    """A weight's rows are scaled by their norms, over which their inputs have to stay whole."""
    v, g = (call.labels(call.bound[name]) for name in ("v", "g"))
    kept = call.bound["dim"]
    for axis, dimension in enumerate(v):
        if axis != kept:
            call.fix(dimension, "is normalised over in")
    call.unite(v[kept], g[kept])
    call.give_all(v)


@rule("embedding")
def embedding(call: Call) -> None:
    """Rows of a table: which ones depends on the images."""
    table = call.labels(call.bound["weight"])
    call.fix(table[0], "is looked up in")
    call.give_all((*[None] * call.bound["indices"].dim(), table[1]))


@rule(
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
)
def attention(call: Call) -> None:
    """Queries, keys and values stay whole; the channels of the values come out."""
    query, key, value = (call.labels(call.bound[name]) for name in ("query", "key", "value"))
    for dimension in (*query, *key, *value):
        call.fix(dimension, "is multiplied without a weight in")
    call.give_all((*[None] * (len(query) - 1), value[-1]))


# --- shapes -----------------------------------------------------------------------------------


@rule("permute", "t", "transpose", "numpy_T", "movedim", "swapaxes")
def permuted(call: Call) -> None:
    """Dimensions change places."""
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
    """A dimension of size 1 is put in."""
    labels = list(call.infos[0].labels)
    labels.insert(call.bound["dim"] % (len(labels) + 1), None)
    call.give(call.out, labels)


@rule("squeeze")
def squeezed(call: Call) -> None:
    """Dimensions of size 1 are taken out."""
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
    """The tensor several times over."""
    labels, shape = call.infos[0].labels, call.tensors[0].shape
    new = call.out.dim() - len(labels)
    made: list[Dimension] = [None] * new
    for axis, (dimension, size) in enumerate(zip(labels, shape, strict=True)):
        times = call.out.shape[new + axis] // max(size, 1)
        made.append(dimension if dimension is None or times == 1 else np.tile(dimension, times))
    call.give(call.out, made)


@rule("view", "_unsafe_view", "reshape", "_reshape_alias", "unflatten", "flatten")
def reshaped(call: Call) -> None:
    """Dimensions are joined and split."""
    before, labels = list(call.tensors[0].shape), call.infos[0].labels
    after = list(call.out.shape)
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
    """Smallest runs of dimensions that hold the same number of values before and after."""
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
    """Labels of the dimensions that some dimensions become together."""
    held = [axis for axis, each in enumerate(labels) if each is not None and before[axis] > 1]
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
    """Labels of several dimensions: the channels lie in one of them, the last one that varies.

    Where they vary along others too, what lies there side by side is coupled, so that the numbers
    of groups, heads or parts stay what they are in the network's code.
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
    """Runs of channels become the pixels of one."""
    labels, factor = list(call.infos[0].labels), call.bound["upscale_factor"]
    if (channels := labels[-3]) is not None:
        runs = channels.reshape(-1, factor**2)
        for column in range(1, factor**2):
            call.classes.unite(runs[:, 0], runs[:, column])
        labels[-3] = runs[:, 0]
    call.give(call.out, labels)


@rule("pixel_unshuffle")
def pixel_unshuffled(call: Call) -> None:
    """The pixels of a channel become a run of channels."""
    labels, factor = list(call.infos[0].labels), call.bound["downscale_factor"]
    if labels[-3] is not None:
        labels[-3] = np.repeat(labels[-3], factor**2)
    call.give(call.out, labels)


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffled(call: Call) -> None:
    """Groups of channels are interleaved; channels of equal places in the groups are coupled."""
    labels, groups = list(call.infos[0].labels), call.bound["groups"]
    if (channels := labels[1]) is not None:
        rows = channels.reshape(groups, -1)
        for row in rows[1:]:
            call.classes.unite(rows[0], row)
        labels[1] = rows.T.reshape(-1)
    call.give(call.out, labels)


@rule("cat")
def concatenated(call: Call) -> None:
    """Dimensions are put one behind the other; the others belong together."""
    tensors = [tensor for tensor in call.bound["tensors"] if tensor.numel() or tensor.dim() > 1]
    labels = [call.labels(tensor) for tensor in tensors]
    axis = (call.bound.get("dim") or 0) % call.out.dim()
    made: list[Dimension] = []
    for dimension, size in enumerate(call.out.shape):
        found = [each[dimension] for each in labels]
        if dimension != axis:
            made.append(_together(call, found, size))
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
    """Equal positions belong together; the new dimension holds no channels."""
    found = [call.labels(tensor) for tensor in call.bound["tensors"]]
    sizes = call.bound["tensors"][0].shape
    made = [
        _together(call, [each[axis] for each in found], size) for axis, size in enumerate(sizes)
    ]
    made.insert((call.bound.get("dim") or 0) % call.out.dim(), None)
    call.give(call.out, made)


@rule("split", "split_with_sizes", "chunk", "unsafe_chunk", "unsafe_split", "tensor_split")
def parted(call: Call) -> None:
    """Parts of a dimension, which have to keep their proportions."""
    labels, axis = list(call.infos[0].labels), call.bound.get("dim") or 0
    sizes = [part.shape[axis] for part in call.out]
    starts = np.cumsum([0, *sizes])
    if (mine := labels[axis]) is not None:
        _in_proportion(call, mine, starts)
    for part, (start, stop) in zip(call.out, pairwise(starts), strict=True):
        labels[axis] = None if mine is None else mine[start:stop]
        call.give(part, labels)


def _in_proportion(call: Call, labels: np.ndarray, bounds: Sequence[int] | np.ndarray) -> None:
    """Parts between bounds, found by their share of the whole, keep that share."""
    size = gcd(*(int(bound) for bound in bounds), len(labels))
    if 0 < size < len(labels):
        call.classes.keep_equal(labels.reshape(-1, size), f"is cut by {call.operation}")


@rule("unbind")
def unbound(call: Call) -> None:
    """One position of a dimension at a time: it stays whole."""
    labels = list(call.infos[0].labels)
    axis = (call.bound.get("dim") or 0) % len(labels)
    call.fix(labels.pop(axis), "is taken apart by")
    for part in call.out:
        call.give(part, labels)


@rule("select")
def selected(call: Call) -> None:
    """One position of a dimension: it stays whole."""
    labels = list(call.infos[0].labels)
    call.fix(labels.pop(call.bound["dim"] % len(labels)), "is taken apart by")
    call.give(call.out, labels)


@rule("slice", "narrow")
def sliced(call: Call) -> None:
    """A run of positions, which has to keep its proportion."""
    labels = list(call.infos[0].labels)
    axis, size = call.bound.get("dim") or 0, call.tensors[0].shape[call.bound.get("dim") or 0]
    start = call.bound.get("start") or 0
    start = max(0, min(start if start >= 0 else start + size, size))
    stop = start + call.out.shape[axis]
    if (mine := labels[axis]) is not None and call.out.shape[axis] != size:
        if (call.bound.get("step") or 1) != 1:
            call.fix(mine, "is taken apart by")
            labels[axis] = None
        else:
            _in_proportion(call, mine, (0, start, stop))
            labels[axis] = mine[start:stop]
    call.give(call.out, labels)


@rule("flip", "roll")
def moved(call: Call) -> None:
    """Positions of a dimension change places; of channels, all stay."""
    labels = list(call.infos[0].labels)
    for axis in call.bound.get("dims") or range(len(labels)):
        call.fix(labels[axis], "changes places in")
    call.give(call.out, labels)


@rule("constant_pad_nd")
def padded(call: Call) -> None:
    """Constants are put before and behind."""
    labels, pad = list(call.infos[0].labels), call.bound["pad"]
    for number, (before, behind) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        axis = len(labels) - 1 - number
        if labels[axis] is not None and (before or behind):
            call.fix(labels[axis], "is padded by")
            labels[axis] = None
    call.give(call.out, labels)
