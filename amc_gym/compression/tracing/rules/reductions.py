"""Operations along a dimension: sums, softmax, pooling, resizing."""

from __future__ import annotations

from collections.abc import Sequence

from amc_gym.compression.tracing.rules.call import Call, rule
from amc_gym.compression.tracing.rules.elementwise import elementwise

SUMS = ("sum", "linalg_vector_norm")
"""Reductions to which zero channels contribute nothing; of the norms, only the Euclidean one."""


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
    """Fix the dimensions that are reduced over, unless they are summed or normalised over."""
    if len(call.tensors) > 1:  # torch.max of two tensors
        elementwise(call)
        return
    info, dims = call.infos[0], call.bound.get("dim")
    total = len(info.labels)
    if dims is None or (isinstance(dims, Sequence) and not dims):
        dims = range(total)
    chosen = {d % max(total, 1) for d in ([dims] if isinstance(dims, int) else dims)}
    keep = call.bound.get("keepdim", False)
    normalised = call.tracer.channel_norms.get(call.operation.module)
    summed = call.operation.name in SUMS and call.bound.get("ord", 2) == 2
    for axis in chosen:
        labels = info.labels[axis] if total else None
        if normalised is not None and axis == normalised % total:
            call.normalise(labels, normalised)
        elif labels is not None and summed:
            call.tracer.trace.summed.append(labels)
        else:
            call.fix(labels, "is summed up or compared in")
    labels = [
        None if axis in chosen else dimension
        for axis, dimension in enumerate(info.labels)
        if keep or axis not in chosen
    ]
    call.give_all(labels)


@rule("_softmax", "_log_softmax", "softmax", "cumsum", "cumprod", "logcumsumexp", "sort", "topk")
def along(call: Call) -> None:
    """Fix the dimension along which values are normalised or accumulated."""
    labels = list(call.infos[0].labels)
    axis = call.bound["dim"]
    call.fix(labels[axis], "is normalised or ordered in")
    labels[axis] = None
    call.give_all(labels)


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
"""Operations that act on each channel's map -> number of last dimensions that they change."""


@rule(*SPATIAL)
def spatial(call: Call) -> None:
    """Pass channels on; fix a dimension that is pooled or resized."""
    changed, labels = SPATIAL[call.operation.name], list(call.infos[0].labels)
    for axis in range(len(labels) - changed, len(labels)):
        call.fix(labels[axis], "is pooled or resized in")
        labels[axis] = None
    call.give_all(labels)
