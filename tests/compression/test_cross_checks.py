"""Cross-checks: MACs and units equal those of thop and Torch-Pruning where these are right."""

from __future__ import annotations

import copy
import warnings

import peers
import pytest
import torch
import torch_pruning as tp
import torchvision
from small import PlainStack
from torch import nn

from amc_gym.compression.cost import counted_macs
from amc_gym.compression.tracing import trace

COUNTED = {
    "plain": (PlainStack, 8),
    "vgg": (peers.vgg, 32),
    "resnet": (peers.resnet, 32),
    "mobilenet_v2": (lambda: torchvision.models.mobilenet_v2(weights=None), 32),
    "squeezenet1_1": (lambda: torchvision.models.squeezenet1_1(weights=None), 64),
    "densenet": (peers.densenet, 32),
}


@pytest.mark.parametrize("name", COUNTED)
def test_thop_counts_the_same_macs_on_plain_networks(name: str) -> None:
    """Compare with thop on a copy, as it leaves buffers behind; hooks drop norms and pooling."""
    import thop
    from thop.vision.basic_hooks import zero_ops

    build, size = COUNTED[name]
    model, image = build().eval(), torch.randn(1, 3, size, size)
    free = (nn.BatchNorm1d, nn.BatchNorm2d, nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.MaxPool2d)
    macs = thop.profile(
        copy.deepcopy(model), (image,), custom_ops=dict.fromkeys(free, zero_ops), verbose=False
    )[0]
    assert counted_macs(model, image) == macs


@pytest.mark.parametrize("name", COUNTED)
def test_torch_pruning_couples_the_same_channels(name: str) -> None:
    build, size = COUNTED[name]
    model, image = build().eval(), torch.randn(1, 3, size, size)
    graph = trace(model, image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of parameters that it does not prune
        theirs = tp.DependencyGraph().build_dependency(model, image, verbose=False)
        groups = list(theirs.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]))
    names = {module: name for name, module in model.named_modules()}
    coupled = set()
    for group in groups:
        members = {names.get(item.dep.target.module) for item in group} & graph.layers.keys()
        coupled.add((len(group[0].idxs), frozenset(members)))
    ours = {(unit.channels, frozenset(unit.members)) for unit in graph.units}
    assert ours <= coupled
    last = list(graph.layers)[-1]
    assert all(last in members for _, members in coupled - ours)
