"""Norms of features and of weights."""

from __future__ import annotations

from amc_gym.compression.tracing.rules.call import Call, rule


@rule("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
      "cudnn_batch_norm", "_batch_norm_with_update", "_batch_norm_no_update")  # fmt: skip
def batch_norm(call: Call) -> None:
    """Normalise each channel by itself."""
    labels = list(call.infos[0].labels)
    for tensor in call.tensors[1:]:
        if tensor.dim() == 1 and tensor.shape[0] == call.tensors[0].shape[1]:
            labels[1] = call.unite(labels[1], call.labels(tensor)[0])
    for dimension in (labels[0], *labels[2:]):
        call.fix(dimension, "is normalised over in")
    call.give_all(labels)


@rule("native_group_norm")
def group_norm(call: Call) -> None:
    """Fix channels that share statistics in a group, unless each channel is a group."""
    labels = list(call.infos[0].labels)
    for tensor in call.tensors[1:]:
        labels[1] = call.unite(labels[1], call.labels(tensor)[0])
    if call.bound["group"] != call.bound["C"]:
        call.fix(labels[1], "is normalised together with other channels in")
    call.give_all(labels)


@rule("native_layer_norm", "_fused_rms_norm", "rms_norm")
def layer_norm(call: Call) -> None:
    """Keep norms over channels prunable, with statistics over the kept channels.

    A norm that is also over positions fixes all channels, as does one that neither has a weight, by
    which it could be recognised, nor is a module.
    """
    labels = list(call.infos[0].labels)
    over = len(call.bound["normalized_shape"])
    for tensor in call.tensors[1:]:
        for axis, own in enumerate(call.labels(tensor)):
            call.unite(own, labels[len(labels) - over + axis])
    in_steps = call.tracer.channel_norms.get(call.operation.module)
    known = call.operation.name == "native_layer_norm" and call.bound["weight"] is not None
    if over == 1 and (known or in_steps == -1):
        call.normalise(labels[-1], None if known else in_steps)
    else:
        for dimension in labels[len(labels) - over :]:
            call.fix(dimension, "is normalised together with other channels in")
    call.give_all(labels)


@rule("_weight_norm_interface", "_weight_norm")
def weight_norm(call: Call) -> None:
    """Fix the inputs of a weight whose rows are scaled by their norms."""
    v, g = (call.labels(call.bound[name]) for name in ("v", "g"))
    kept = call.bound["dim"]
    for axis, dimension in enumerate(v):
        if axis != kept:
            call.fix(dimension, "is normalised over in")
    call.unite(v[kept], g[kept])
    call.give_all(v)
