"""Folding of batch norms into the layers before them, which halves a small network's operations."""

from __future__ import annotations

import copy
from dataclasses import replace

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from amc_gym.compression.graph import ChannelGraph, Parameter


def fold_norms(model: nn.Module, graph: ChannelGraph) -> tuple[nn.Module, ChannelGraph]:
    """Return a copy of ``model`` (eval mode) with its norms folded, and the graph of that copy.

    Only a norm that is the only reader of a plain layer is folded.
    """
    folded = copy.deepcopy(model)
    gone, biases = [], []
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
        if module.bias is None:  # the graph has to know its channels
            owner = (layer.name, "bias")
            biases.append(Parameter((owner,), (layer.outputs,), True, layer.counted))
        module.weight, module.bias = fused
        folded.set_submodule(layer.norm, nn.Identity())
        gone.append(layer.norm)
    graph = graph.without(gone)
    return folded, replace(graph, parameters=(*graph.parameters, *biases))
