"""Networks for 32 x 32 images of He et al., "Deep Residual Learning", 2016, section 4.2.

Parameters are named as in the common checkpoints of these networks, so that they can be loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from amc_gym.compression.channel_map import NOWHERE, ChannelMap
from amc_gym.zoo.models.network import GREY, Network, Variant, register


class CifarBlock(nn.Module):
    """Two 3 x 3 convolutions with a shortcut without weights, or without a shortcut.

    Args:
        inputs: input channels.
        outputs: output channels; at least as many.
        stride: of the first convolution.
        residual: whether the input is added to the output.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, residual: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = _shortcut(inputs, outputs, stride) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        """Run the block: (B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y if self.shortcut is None else y + self.shortcut(x))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return option A: every ``stride``-th pixel, and zeros for the new channels.

    The paper does not say where the new channels go; in the common checkpoints half of them come
    before the old ones and half after.
    """
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    before = (outputs - inputs) // 2
    after = outputs - inputs - before
    return ChannelMap([NOWHERE] * before + [*range(inputs)] + [NOWHERE] * after, inputs, stride)


class CifarResNet(nn.Module):
    """ResNet-20, -32, -44, -56 or -110 for small images, or the plain network of that depth.

    Maps images ``(N, in_channels, H, W)`` to logits ``(N, num_classes)``.

    Args:
        depth: number of layers with weights, 6 n + 2.
        residual: False leaves out the shortcuts: the paper's plain network.
        num_classes: length of the logits.
        in_channels: channels of the images, 3 for colour, 1 for grey.
        width: channels of the first stage; the second and third stage have two and four times as
            many.

    Raises:
        ValueError: ``depth`` is not 6 n + 2.
    """

    def __init__(
        self,
        depth: int,
        *,
        residual: bool = True,
        num_classes: int = 10,
        in_channels: int = 3,
        width: int = 16,
    ) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ValueError(f"depth must be 6 n + 2, such as 20 or 56, not {depth}")

        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(width, width, [1] * blocks, residual)
        self.layer2 = _stage(width, 2 * width, [2] + [1] * (blocks - 1), residual)
        self.layer3 = _stage(2 * width, 4 * width, [2] + [1] * (blocks - 1), residual)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(4 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: images (N, in_channels, H, W) -> logits (N, num_classes)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(self.flatten(self.pool(x)))


def _stage(inputs: int, outputs: int, strides: Sequence[int], residual: bool) -> nn.Sequential:
    sizes = [inputs] + [outputs] * len(strides)
    return nn.Sequential(
        *(
            CifarBlock(one, other, stride, residual)
            for one, other, stride in zip(sizes, sizes[1:], strides, strict=False)
        )
    )


register(
    Network(
        "ResNet56",
        partial(CifarResNet, 56),
        {"digits": Variant(GREY | {"width": 8}), "cifar10": Variant({"num_classes": 10})},
    )
)

register(
    Network(
        "Plain20",
        partial(CifarResNet, 20, residual=False),
        {
            "digits": Variant(GREY, preserve_ratio=0.25),
            "cifar10": Variant({"num_classes": 10}),
        },
    )
)
