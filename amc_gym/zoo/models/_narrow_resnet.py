"""torchvision's bottleneck ResNet with narrower stages."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet


class NarrowResNet(ResNet):
    """torchvision's ResNet with every stage ``width`` times as wide, and an unchanged stem.

    Args:
        blocks: number of bottleneck blocks in each of the four stages.
        width: multiplier of the channels of all stages, which torchvision has no option for.
        num_classes: length of the logits.
    """

    def __init__(self, blocks: list[int], width: float, num_classes: int) -> None:
        self.width = width  # before the base class builds the stages
        super().__init__(Bottleneck, blocks, num_classes)
        last = self.layer4[-1]
        assert isinstance(last, Bottleneck)
        self.fc = nn.Linear(last.conv3.out_channels, num_classes)

    def _make_layer(self, block: Any, planes: int, *args: Any, **kwargs: Any) -> nn.Sequential:
        return super()._make_layer(block, int(planes * self.width), *args, **kwargs)
