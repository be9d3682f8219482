"""Search the widths of a ViT or a ConvNeXt on digits.

python examples/transformers.py --network vit
python examples/transformers.py --network convnext
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.vision_transformer import VisionTransformer

import amc_gym
from amc_gym.envs.factory import make_env
from amc_gym.training.loop import train
from amc_gym.zoo import datasets


class Grey(nn.Module):
    """Runs a network for colour images on grey ones."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images.expand(-1, 3, -1, -1))


def vit() -> nn.Module:
    """Make a ViT: patches of 4 x 4 pixels, two layers of width 48 with MLPs of 192."""
    return Grey(VisionTransformer(16, 4, 2, 4, 48, 192, num_classes=10))


def convnext() -> nn.Module:
    """Make a ConvNeXt: two stages of widths 24 and 48, each MLP four times as wide."""
    stages = [CNBlockConfig(24, 48, 2), CNBlockConfig(48, None, 2)]
    return Grey(ConvNeXt(stages, num_classes=10))


def main(
    network: Literal["vit", "convnext"] = "vit",
    epochs: int = 30,
    evaluations: int = 60,
    preserve_ratio: float = 0.6,
    out: Path = Path("transformers.onnx"),
) -> None:
    """Train a network on digits, compress it, and export it.

    Args:
        network: which transformer.
        epochs: length of the first training; fine-tuning takes a third of it.
        evaluations: plans that the search may try.
        preserve_ratio: fraction of the MACs to keep.
        out: the file to write.
    """
    digits = datasets.load("digits")
    torch.manual_seed(0)
    model = vit() if network == "vit" else convnext()
    recipe = amc_gym.Recipe(epochs, 64, 0.003, optimizer="adamw", weight_decay=0.05)
    train(model, digits.train, recipe, progress=False)

    task = amc_gym.CompressionTask(model, digits.calibration, digits.reward, digits.test)
    env = make_env(task, preserve_ratio=preserve_ratio)
    for name, why in env.engine.graph.fixed.items():
        print(f"stays whole: {name}: {why}")
    plan = amc_gym.search(env, evaluations, progress=False)
    assert amc_gym.validate(task, plan).ok
    recipe = amc_gym.Recipe(
        -(-epochs // 3), 64, 0.001, schedule="cosine", optimizer="adamw", distillation=0.5
    )
    small = amc_gym.finetune(task, plan, digits.train, recipe, progress=False)
    for name, made in (
        ("original", model),
        ("compressed", amc_gym.compress(task, plan)),
        ("fine-tuned", small),
    ):
        print(f"{name}: {amc_gym.accuracy(made, task.test):.2%} of the test images")
    print(amc_gym.export(small, task, out, overwrite=True))


if __name__ == "__main__":
    tyro.cli(main)
