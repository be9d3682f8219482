"""Compare uniform and searched detectors at half the MACs by mean average precision.

    python examples/detect_scenes.py --network faster-rcnn
    python examples/detect_scenes.py --network ssdlite
    python examples/detect_scenes.py --network yolo

This is the paper's table 5 at a small scale, on rendered scenes.  Of torchvision's detectors only
the backbone is compressed, as there; the third one has only convolutions, and is compressed as a
whole.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import detectors
import torch
import tyro

import amc_gym
from amc_gym.envs.factory import make_env
from amc_gym.training.loop import train
from amc_gym.zoo.datasets.scenes import scenes

NETWORKS = {
    "faster-rcnn": detectors.faster_rcnn,
    "ssdlite": detectors.ssdlite,
    "yolo": lambda _size: detectors.Yolo(),
}


def objective_of(network: str) -> amc_gym.Objective:
    """Return mean average precision as the score; except for YOLO, the loss is the network's."""
    if network == "yolo":
        own = {"boxes": detectors.found_boxes, "loss": detectors.yolo_loss}
        return amc_gym.objectives.detection(**own)
    return amc_gym.objectives.detection()


def main(
    network: Literal["faster-rcnn", "ssdlite", "yolo"] = "faster-rcnn",
    images: int = 600,
    epochs: int = 30,
    finetuning: int = 10,
    evaluations: int = 60,
    preserve_ratio: float = 0.5,
    size: int = 64,
    seed: int = 0,
    out: Path = Path("detect-scenes.onnx"),
) -> None:
    """Train a detector, compress it uniformly and by search, fine-tune both, and export one.

    Args:
        network: which detector.
        images: number of training images.
        epochs: length of the first training.
        finetuning: epochs of fine-tuning.
        evaluations: plans that the search may try; the first one is the uniform plan.
        preserve_ratio: fraction of the MACs to keep, of the backbone or of the whole network.
        size: side of the scenes in pixels.
        seed: seed of the weights and of the search.
        out: the file to write.
    """
    training, calibration, reward, test = (
        scenes(n, s, size=size)
        for s, n in enumerate((images, images // 3, images // 4, images // 2))
    )
    torch.manual_seed(seed)
    model, objective = NETWORKS[network](size), objective_of(network)
    recipe = partial(amc_gym.Recipe, batch_size=16, optimizer="adamw", seed=seed)
    train(model, training, recipe(epochs, learning_rate=0.004), objective=objective)

    part = "" if network == "yolo" else "backbone"
    task = amc_gym.CompressionTask(model, calibration, reward, test, objective=objective, part=part)
    env = make_env(task, preserve_ratio=preserve_ratio)
    uniform = amc_gym.search(env, 1, progress=False)
    searched = amc_gym.search(env, evaluations, seed)
    assert amc_gym.validate(task, searched).ok

    judged = partial(amc_gym.score, objective=objective, batch_size=32)
    print(
        f"| {network}, {objective.name} | MACs | reward images | test images | fine-tuned, test |"
    )
    print("|:--|--:|--:|--:|--:|")
    full = env.engine.costs["macs"].full
    print(f"| original | {full:,} | {judged(model, reward):.3f} | {judged(model, test):.3f} | |")
    for name, plan in (("uniform", uniform), ("searched", searched)):
        before = amc_gym.compress(task, plan)
        small = amc_gym.finetune(
            task, plan, training, recipe(finetuning, learning_rate=0.001, schedule="cosine")
        )
        figures = (plan.measured.score, judged(before, test), judged(small, test))
        cells = " | ".join(f"{figure:.3f}" for figure in figures)
        print(f"| {name} | {plan.measured.macs:,} | {cells} |")
    print(amc_gym.export(small, task, out, overwrite=True))


if __name__ == "__main__":
    tyro.cli(main)
