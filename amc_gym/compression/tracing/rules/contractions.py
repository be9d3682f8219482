"""Operations that sum over channels: convolutions, matrix products, attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from amc_gym.compression.slim import WEIGHTED
from amc_gym.compression.tracing.labels import Dimension
from amc_gym.compression.tracing.record import Product, Use
from amc_gym.compression.tracing.rules.call import Call, rule

if TYPE_CHECKING:
    from amc_gym.compression.tracing.tracer import Tracer


@rule("convolution", "_convolution", "mkldnn_convolution", "cudnn_convolution")
def convolution(call: Call) -> None:
    """Unite the input's channels with the weight's second dimension; its first is the output."""
    x, weight, bias = (call.bound[name] for name in ("input", "weight", "bias"))
    groups, transposed = call.bound["groups"], call.bound.get("transposed", False)
    inputs, kernel = call.labels(x)[1], call.labels(weight)
    if inputs is None:
        inputs = call.classes.new(x.shape[1], f"reads no channels in {call.operation}")
    for dimension in (call.labels(x)[0], *call.labels(x)[2:], *kernel[2:]):
        call.fix(dimension, "is convolved over in")
    rows, columns = (kernel[1], kernel[0]) if transposed else (kernel[0], kernel[1])
    if rows is None or columns is None:  # a constant that is not a parameter
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
    """Unite the dimension that is summed over in both factors."""
    added, one, other = [None, *call.args][-3:] if len(call.args) < 3 else call.args[:3]
    first, second = call.labels(one), call.labels(other)
    mixed = call.unite(first[-1], second[-2] if other.dim() > 1 else second[0])
    labels = [first[-2], *([second[-1]] if other.dim() > 1 else [])]
    if one.dim() == 3:
        for dimension in (first[0], second[0]):
            call.fix(dimension, "is multiplied one by one in")
        labels.insert(0, None)
    call.give(call.out, labels)
    if isinstance(added, Tensor):
        for own, made in zip(call.labels(added)[::-1], labels[::-1], strict=False):
            if own is not None and (made is None or len(own) == len(made)):
                call.unite(own, made)
    infos = call.tracer.info(one), call.tracer.info(other)
    if (infos[0].constant is True) == (infos[1].constant is True):
        call.tracer.trace.products.append(Product(call.index, mixed, tuple(labels)))
        return
    weight, x = (one, other) if infos[0].constant is True else (other, one)
    for dimension in first[:-1] if x is one else (*second[:-2], *second[-1:]):
        call.fix(dimension, "is multiplied row by row in")  # cost grows with their number
    rows = labels[-2] if weight is one else labels[-1]
    if mixed is None:
        size = x.shape[-1 if x is one else -2]
        mixed = call.classes.new(size, f"reads no channels in {call.operation}")
    if rows is None:
        size = weight.shape[-2 if weight is one else -1]
        rows = call.classes.new(size, f"makes no channels in {call.operation}")
    _used(call, x, weight, mixed, rows, 1, 0)


def _used(
    call: Call,
    x: Tensor,
    weight: Tensor,
    inputs: Dimension,
    outputs: np.ndarray,
    groups: int,
    multiplier: int,
) -> None:
    """Record the layer whose weight was used; without a layer, fix the inputs."""
    tracer = call.tracer
    names = tracer.info(weight).parameters
    running, module = tracer.running[-1]
    inside = isinstance(module, WEIGHTED) and bool(names)
    inside = inside and all(name.startswith(f"{running}." if running else "") for name in names)
    layer = running if inside else _holder(tracer, names)
    use = Use(
        layer or ", ".join(sorted(names)) or "a constant",
        inside,
        call.index,
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
    if inputs is None or groups > 1 or not names:
        reason = f"mixed by {use.layer!r}, which no convolution or linear layer holds, in"
        call.fix(inputs, reason)
        call.fix(outputs, reason)
    tracer.trace.free.append(use)


def _holder(tracer: Tracer, names: frozenset[str]) -> str | None:
    """Return the single layer whose weight a tensor was made from."""
    holders = {name.partition(".parametrizations.")[0].rpartition(".")[0] for name in names}
    if len(holders) != 1:
        return None
    (holder,) = holders
    module = tracer.model.get_submodule(holder)
    return holder if isinstance(module, WEIGHTED) else None


@rule("embedding")
def embedding(call: Call) -> None:
    """Select rows of a table; which ones depends on the inputs."""
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
    """Unite the channels of queries and keys; the output has the channels of the values."""
    query, key, value = (call.labels(call.bound[name]) for name in ("query", "key", "value"))
    mixed = call.unite(query[-1], key[-1])
    for dimension in (*query[:-1], *key[:-1], *value[:-1]):
        call.fix(dimension, "is attended over in")
    mask = call.bound.get("attn_mask", call.bound.get("attn_bias"))
    for dimension in () if mask is None else call.labels(mask):
        call.fix(dimension, "is attended over in")
    made = (*[None] * (len(query) - 1), value[-1])
    call.give_all(made)
    call.tracer.trace.products.append(Product(call.index, mixed, made))
