"""Compress a segmenter of rendered scenes, a U-Net or torchvision's LR-ASPP, scored by mIoU.

python examples/segment_scenes.py --network unet
python examples/segment_scenes.py --network lraspp
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor, nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

import amc_gym
from amc_gym.envs.factory import make_env
from amc_gym.training.loop import train
from amc_gym.zoo.datasets.scenes import SHAPES, scenes

CLASSES = len(SHAPES) + 1


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Make two convolutions with norms."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Three resolutions down and up again, with skip connections."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.fine, self.middle = block(3, width), block(width, 2 * width)
        self.coarse = block(2 * width, 4 * width)
        self.pool = nn.MaxPool2d(2)
        self.up_middle = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.up_fine = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.join_middle, self.join_fine = block(4 * width, 2 * width), block(2 * width, width)
        self.classes = nn.Conv2d(width, CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        fine = self.fine(images)
        middle = self.middle(self.pool(fine))
        coarse = self.coarse(self.pool(middle))
        middle = self.join_middle(torch.cat([self.up_middle(coarse), middle], dim=1))
        return self.classes(self.join_fine(torch.cat([self.up_fine(middle), fine], dim=1)))


def lraspp() -> nn.Module:
    """Make an untrained LR-ASPP on MobileNetV3-Large; its output is {"out": logits}."""
    return lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=CLASSES)


NETWORKS = {"unet": UNet, "lraspp": lraspp}


def main(
    network: Literal["unet", "lraspp"] = "unet",
    images: int = 400,
    epochs: int = 12,
    evaluations: int = 30,
    size: int = 48,
    out: Path = Path("segment-scenes.onnx"),
) -> None:
    """Train a network, compress it to half of its MACs, and export it.

    Args:
        network: which segmenter.
        images: number of training images.
        epochs: length of the first training; fine-tuning takes half of it.
        evaluations: plans that the search may try.
        size: side of the scenes in pixels.
        out: the file to write.
    """
    training, calibration, reward, test = (
        scenes(n, seed, targets="masks", size=size)
        for seed, n in enumerate((images, images // 4, images // 4, images // 4))
    )
    torch.manual_seed(0)
    model, objective = NETWORKS[network](), amc_gym.objectives.segmentation()
    recipe = amc_gym.Recipe(epochs, 16, 0.005, optimizer="adamw")
    train(model, training, recipe, objective=objective, progress=False)

    task = amc_gym.CompressionTask(model, calibration, reward, test, objective=objective)
    env = make_env(task, importance="greedy")
    print(f"{len(env.engine.graph.units)} units")
    plan = amc_gym.search(env, evaluations, progress=False)
    assert amc_gym.validate(task, plan).ok
    recipe = amc_gym.Recipe(
        -(-epochs // 2), 16, 0.002, schedule="cosine", optimizer="adamw", distillation=0.5
    )
    small = amc_gym.finetune(task, plan, training, recipe, progress=False)
    for name, made in (
        ("original", model),
        ("compressed", amc_gym.compress(task, plan)),
        ("fine-tuned", small),
    ):
        print(f"{name}: mIoU {amc_gym.score(made, test, objective, 16):.3f}")
    print(amc_gym.export(small, task, out, overwrite=True))


if __name__ == "__main__":
    tyro.cli(main)
