"""Small networks from torchvision's families: each kind of block, but few of them."""

from __future__ import annotations

from torch import nn
from torchvision import models
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.vgg import make_layers


def vgg() -> nn.Module:
    """Make a plain network: batch norms, pooling, two linear layers; images of 32 x 32 pixels."""
    features = make_layers([16, "M", 24, "M", 32, 32, "M"], batch_norm=True)
    hidden = nn.Sequential(nn.Flatten(), nn.Linear(32 * 4 * 4, 48), nn.ReLU(), nn.Dropout())
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(4), *hidden, nn.Linear(48, 10))


def resnet() -> nn.Module:
    """Make a residual network: a stream of two blocks, then three blocks that widen it."""
    return models.ResNet(BasicBlock, [2, 1, 1, 1])


def resnext() -> nn.Module:
    """Make a residual network with grouped convolutions."""
    return models.ResNet(Bottleneck, [2, 1, 1, 1], groups=32, width_per_group=4)


def densenet() -> nn.Module:
    """Make a network whose blocks concatenate their outputs."""
    return models.DenseNet(growth_rate=8, block_config=(2, 3, 2, 2), num_init_features=16)
