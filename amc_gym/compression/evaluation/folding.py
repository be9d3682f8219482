"""Batch norm folded into the layer before it: half the operations of a small network's pass."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from amc_gym.compression.graph import ChannelGraph


def fold_norms(model: nn.Module, graph: ChannelGraph) -> tuple[nn.Module, ChannelGraph]:
    """A copy of ``model`` (eval mode) with its norms folded, and the graph of that copy.

    Only a norm that alone reads a plain layer's output is folded; others stay.
    """
    folded = copy.deepcopy(model)
    gone = []
    for layer in graph.layers.values():
        if layer.norm is None:
            continue
        module = folded.get_submodule(layer.name)
        norm = folded.get_submodule(layer.norm)
        assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
        if isinstance(module, nn.modules.conv._ConvNd):
            fused = fuse_conv_bn_weights(
                module.weight, module.bias, *statistics, transpose=module.transposed
            )
        else:
            assert isinstance(module, nn.Linear)
            fused = fuse_linear_bn_weights(module.weight, module.bias, *statistics)
        module.weight, module.bias = fused
        folded.set_submodule(layer.norm, nn.Identity())
        gone.append(layer.norm)
    return folded, graph.without(gone)
