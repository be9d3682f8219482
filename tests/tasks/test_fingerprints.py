"""Fingerprints of tasks: they depend on content, not on the version of PyTorch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from amc_gym import CompressionTask


def norms(bias: bool) -> nn.Module:
    """Make a network with each kind of norm, and a convolution with or without a bias."""
    group = nn.GroupNorm(2, 4)
    if not bias:
        group.register_parameter("bias", None)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=bias),
        nn.BatchNorm2d(4),
        nn.InstanceNorm2d(4),
        nn.LayerNorm(14, bias=bias),
        group,
        nn.Flatten(),
        nn.Linear(4 * 14 * 14, 10),
    ).eval()


def older(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have norms print themselves as in versions of PyTorch that did not print their biases."""
    for kind in (nn.BatchNorm2d, nn.InstanceNorm2d, nn.LayerNorm, nn.GroupNorm):
        said = kind.extra_repr

        def says(self: nn.Module, said=said) -> str:
            return said(self).replace(", bias=True", "").replace(", bias=False", "")

        monkeypatch.setattr(kind, "extra_repr", says)


def test_older_versions_of_torch_give_the_same_fingerprint(
    digits_task: CompressionTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [replace(digits_task, model=norms(bias)) for bias in (True, False)]
    found = [task.fingerprint for task in tasks]
    assert found[0] != found[1]
    older(monkeypatch)
    assert "bias" not in repr(nn.BatchNorm2d(4))
    assert [replace(task).fingerprint for task in tasks] == found


def test_structure_and_weights_count(digits_task: CompressionTask) -> None:
    found = set()
    for stride, seed in ((1, 0), (2, 0), (1, 1)):
        torch.manual_seed(seed)
        body = (nn.Conv2d(1, 10, 3, stride=stride), nn.BatchNorm2d(10), nn.AdaptiveAvgPool2d(1))
        model = nn.Sequential(*body, nn.Flatten()).eval()
        found.add(replace(digits_task, model=model).fingerprint)
    assert len(found) == 3
